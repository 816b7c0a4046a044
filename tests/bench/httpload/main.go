// Command httpload sends one HTTPS request many times to a server on this machine and prints, as one line of JSON, the
// rate, the latencies, the errors, and the CPU time and memory that the server's process used meanwhile.
//
// Exit status: 0 every operation succeeded, 1 some failed, 2 the run could not be made.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chancery.dev/tests/bench/meter"
)

func main() {
	opts, err := parseOptions()
	if err != nil {
		fail(err)
	}
	client, err := newClient(opts)
	if err != nil {
		fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), opts.limit)
	defer cancel()
	if opts.first != "" {
		if err := becomeDevice(ctx, client, opts); err != nil {
			fail(err)
		}
	}

	var next atomic.Int64
	one := func() error {
		number := int(next.Add(1) - 1)
		var body []byte
		if number < len(opts.bodies) {
			body = opts.bodies[number]
		}
		_, err := send(ctx, client, opts, opts.url, body)
		return err
	}
	spread(ctx, opts.workers, opts.warmup, func() { _ = one() })
	run, err := meter.Start(opts.pid, opts.database)
	if err != nil {
		fail(err)
	}
	spread(ctx, opts.workers, opts.count, func() {
		began := time.Now()
		err := one()
		run.Add(time.Since(began), err)
	})
	result, err := run.Finish()
	if err != nil {
		fail(err)
	}
	if err := result.WriteJSON(os.Stdout); err != nil {
		fail(err)
	}
	if result.Errors > 0 || result.OK < opts.count {
		os.Exit(1)
	}
}

// send makes one request and reads the whole answer.
func send(ctx context.Context, client *http.Client, opts *options, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, opts.method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, header := range opts.headers {
		name, value, _ := strings.Cut(header, ":")
		req.Header.Set(name, strings.TrimSpace(value))
	}
	if opts.user != "" {
		req.SetBasicAuth(opts.user, opts.password)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != opts.expect {
		return nil, fmt.Errorf("status %d: %.200s", res.StatusCode, answer)
	}
	return answer, nil
}

// spread does the work count times from several workers, or until the time is up.
func spread(ctx context.Context, workers, count int, work func()) {
	var left atomic.Int64
	left.Store(int64(count))
	var group sync.WaitGroup
	for i := 0; i < workers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				work()
			}
		}()
	}
	group.Wait()
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "httpload:", err)
	os.Exit(2)
}
