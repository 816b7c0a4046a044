# Sums the samples of a profile of chancery-server by what they were spent on; docs/performance.md says how it is recorded.
#
#   perf script -i perf.data -F comm,ip,sym | awk -f tests/bench/profile.awk | sort -rn
#
# A sample in the kernel counts for the call that led there, one outside for the function it was in.

function part_of_sample() {
  if (stack ~ /fsync|fdatasync/) return "commit: fsync"
  if (stack ~ /pwrite64|pread64|fcntl|statx|newstat|ftruncate/) return "commit: the kernel's part of reading, writing and locking the file"
  if (stack ~ /writev|recvfrom|sock_|tcp_|accept4|sys_shutdown|sys_close/) return "TCP in the kernel"
  if (stack ~ /sys_write|sys_read/) return "the kernel's part of the log line and of waking threads"
  if (stack ~ /epoll|futex|schedule|finish_task_switch|sched_/) return "threads going to sleep and waking"
  if (stack ~ /entry_SYSCALL|asm_|irq|do_syscall/) return "the kernel, other"
  if (leaf ~ /nistz256|p256_|ecp_|beeu|[bB][nN]_|bignum|ecdsa|ECDSA|^E?C_|^ec_|select_w|mod_inverse/) return "ECDSA and ECDH"
  if (leaf ~ /aes|gcm|sha256|sha512|SHA|AES|hkdf|HMAC|aws_lc|OPENSSL|CBS_|CBB_/) return "other cryptography"
  if (comm == "store-writer" || leaf ~ /sqlite|pcache|[wW]al[A-Z]|pager|btree|[vV]dbe|rusqlite/) return "commit: SQLite, rows and audit chain"
  if (leaf ~ /^_?mi_|malloc|free|memmove|memcpy|memset|memcmp/) return "allocating and copying"
  if (leaf ~ /rustls/) return "TLS, but for its cryptography"
  return "HTTP, EST, policy, DER, log line"
}

function count() {
  if (leaf == "") return
  counts[part_of_sample()]++
  total++
}

/^[^ \t]/ { count(); stack = ""; leaf = ""; comm = $1; next }
NF >= 2 { if (leaf == "") leaf = $2; stack = stack " " $2 }
END { count(); for (part in counts) printf "%5.1f %%  %s\n", 100 * counts[part] / total, part }
