// Package meter holds what load tools share: the latencies and errors of one run, the CPU time and memory of the
// server's process meanwhile, and the line that reports them.
package meter

import (
	"encoding/json"
	"io"
	"math"
	"sort"
	"sync"
	"time"
)

// Run collects the measured part of one run; safe for concurrent use.
type Run struct {
	mu        sync.Mutex
	latencies []time.Duration
	errors    int
	kinds     map[string]int

	pid       int
	server    usage
	behind    int
	database  time.Duration
	machine   time.Duration
	client    time.Duration
	beginning time.Time
}

// Result is what one run found. CPU times are per operation that succeeded.
type Result struct {
	OK         int            `json:"ok"`
	Errors     int            `json:"errors"`
	Kinds      map[string]int `json:"errorKinds,omitempty"`
	Seconds    float64        `json:"seconds"`
	PerSecond  float64        `json:"perSecond"`
	P50        float64        `json:"p50Ms"`
	P99        float64        `json:"p99Ms"`
	Max        float64        `json:"maxMs"`
	ServerCPU  float64        `json:"serverCpuMs"`
	ClientCPU  float64        `json:"clientCpuMs"`
	Database   float64        `json:"databaseCpuMs"`
	Others     float64        `json:"othersCores"` // what else ran meanwhile, in cores; interrupts count there too
	ServerRSS  float64        `json:"serverRssMib"`
	ServerPeak float64        `json:"serverPeakRssMib"`
}

// Start begins measuring; pid is the server's process, database the first of those of its database server; 0 leaves
// one out.
func Start(pid, database int) (*Run, error) {
	run := &Run{kinds: map[string]int{}, pid: pid, behind: database}
	var err error
	if run.server, err = readUsage(pid); err != nil {
		return nil, err
	}
	if run.database, err = familyCPU(database); err != nil {
		return nil, err
	}
	if run.machine, err = machineCPU(); err != nil {
		return nil, err
	}
	run.client, run.beginning = ownCPU(), time.Now()
	return run, nil
}

// Add notes one finished operation.
func (r *Run) Add(took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.latencies = append(r.latencies, took)
		return
	}
	r.errors++
	kind := err.Error()
	if len(kind) > 160 {
		kind = kind[:160]
	}
	// A few kinds say what went wrong; a thousand, one for each port number, would hide it.
	if len(r.kinds) < 8 || r.kinds[kind] > 0 {
		r.kinds[kind]++
	}
}

// Finish ends measuring.
func (r *Run) Finish() (Result, error) {
	seconds := time.Since(r.beginning).Seconds()
	client := ownCPU() - r.client
	after, err := readUsage(r.pid)
	if err != nil {
		return Result{}, err
	}
	machine, err := machineCPU()
	if err != nil {
		return Result{}, err
	}
	database, err := familyCPU(r.behind)
	if err != nil {
		return Result{}, err
	}
	sort.Slice(r.latencies, func(i, j int) bool { return r.latencies[i] < r.latencies[j] })
	done := float64(len(r.latencies))
	if done == 0 {
		done = 1
	}
	// The kernel's own sums lag behind by a tick or two: a little less than nothing means nothing.
	others := machine - r.machine - client - (after.cpu - r.server.cpu) - (database - r.database)
	return Result{
		Others: math.Max(others.Seconds()/seconds, 0),
		OK:     len(r.latencies), Errors: r.errors, Kinds: r.kinds,
		Seconds: seconds, PerSecond: float64(len(r.latencies)) / seconds,
		P50: r.quantile(0.5), P99: r.quantile(0.99), Max: r.quantile(1),
		ServerCPU: milliseconds(after.cpu-r.server.cpu) / done, ClientCPU: milliseconds(client) / done,
		Database:  milliseconds(database-r.database) / done,
		ServerRSS: float64(after.rssKiB) / 1024, ServerPeak: float64(after.peakKiB) / 1024,
	}, nil
}

// WriteJSON writes the result as one line.
func (r Result) WriteJSON(w io.Writer) error {
	return json.NewEncoder(w).Encode(r)
}

// quantile answers in milliseconds; the latencies are sorted.
func (r *Run) quantile(q float64) float64 {
	if len(r.latencies) == 0 {
		return 0
	}
	at := int(q * float64(len(r.latencies)))
	if at >= len(r.latencies) {
		at = len(r.latencies) - 1
	}
	return milliseconds(r.latencies[at])
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
