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
	fields, err := readStat(pid)
	if err != nil {
		return u, err
	}
	u.cpu = ticks(fields[11:13])

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

// familyCPU is the CPU time of a process and all that came from it, those that have ended included; pid 0 reads as none.
func familyCPU(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	parents, used := map[int]int{}, map[int]time.Duration{}
	for _, entry := range entries {
		number, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		fields, err := readStat(number)
		if err != nil {
			continue // it has ended since: its parent counts it
		}
		parents[number], _ = strconv.Atoi(fields[1])
		used[number] = ticks(fields[11:15])
	}
	var sum time.Duration
	for number, cpu := range used {
		ancestor := number
		for ancestor > 1 && ancestor != pid {
			ancestor = parents[ancestor]
		}
		if ancestor == pid {
			sum += cpu
		}
	}
	if _, runs := used[pid]; !runs {
		return 0, fmt.Errorf("no process %d", pid)
	}
	return sum, nil
}

// machineCPU is what all cores have worked, for whomever: neither idle nor waiting for a disk.
func machineCPU() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	// user, nice, system, then idle and iowait, then irq, softirq, steal (proc(5)).
	return ticks(fields[1:4]) + ticks(fields[6:9]), nil
}

// readStat answers the fields of /proc/PID/stat from the third on.
func readStat(pid int) ([]string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// The second field is the program's name in parentheses and may hold blanks: count from behind it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 15 {
		return nil, fmt.Errorf("/proc/%d/stat has only %d fields", pid, len(fields))
	}
	return fields, nil
}

func ticks(fields []string) time.Duration {
	var sum int64
	for _, field := range fields {
		number, _ := strconv.ParseInt(field, 10, 64)
		sum += number
	}
	return time.Duration(sum) * time.Second / userHZ
}

// ownCPU is the CPU time of the load tool itself.
func ownCPU() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
