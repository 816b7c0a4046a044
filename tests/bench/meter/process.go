package meter

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// userHZ is the unit of the times in /proc/PID/stat on Linux, in ticks a second.
const userHZ = 100

// usage is one reading of a process.
type usage struct {
	cpu     time.Duration // user and system, all threads
	rssKiB  int64
	peakKiB int64
}

// readUsage reads /proc; pid 0 reads as nothing used.
func readUsage(pid int) (usage, error) {
	var u usage
	if pid == 0 {
		return u, nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// The second field is the program's name in parentheses and may hold blanks: count from behind it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return u, fmt.Errorf("/proc/%d/stat has only %d fields", pid, len(fields))
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	u.cpu = time.Duration(user+system) * time.Second / userHZ

	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for _, line := range strings.Split(string(status), "\n") {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "VmRSS:":
			u.rssKiB, _ = strconv.ParseInt(words[1], 10, 64)
		case "VmHWM:":
			u.peakKiB, _ = strconv.ParseInt(words[1], 10, 64)
		}
	}
	return u, nil
}

// ownCPU is the CPU time of the load tool itself.
func ownCPU() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
