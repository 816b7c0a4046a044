// Command acmeload places whole ACME orders (RFC 8555) with a server on this machine and prints, as one line of JSON, the
// rate, the latencies, the errors, and the CPU time and memory that the server's process used meanwhile.
//
// It is client, web server and name server in one: it answers the challenges and the server's questions for its names.
//
// Exit status: 0 every order was fulfilled, 1 some were not, 2 the run could not be made.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"chancery.dev/tests/bench/meter"
)

// report is what meter found and what the orders needed.
type report struct {
	meter.Result
	RequestsPerOrder float64 `json:"requestsPerOrder"`
	Polls            int64   `json:"polls"`
	BadNonces        int64   `json:"badNonces"`
	Challenges       int64   `json:"challenges"`
}

// counters are of the measured part of the run.
type counters struct {
	requests, polls, badNonces, challenges atomic.Int64
}

func main() {
	opts, err := parseOptions()
	if err != nil {
		fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), opts.limit)
	defer cancel()
	web := &web{}
	if err := web.serve(opts.http01); err != nil {
		fail(err)
	}
	if err := serveNames(opts.dns); err != nil {
		fail(err)
	}
	accounts, err := register(ctx, opts, web)
	if err != nil {
		fail(err)
	}

	warmUp(ctx, accounts, opts)
	for _, account := range accounts {
		account.counters.reset()
	}
	run, err := meter.Start(opts.pid, opts.database)
	if err != nil {
		fail(err)
	}
	each(accounts, func(account *account) {
		for account.next < len(account.requests) && ctx.Err() == nil {
			began := time.Now()
			err := account.order(ctx)
			run.Add(time.Since(began), err)
		}
	})
	result, err := run.Finish()
	if err != nil {
		fail(err)
	}
	sum := report{Result: result}
	var requests int64
	for _, account := range accounts {
		requests += account.counters.requests.Load()
		sum.Polls += account.counters.polls.Load()
		sum.BadNonces += account.counters.badNonces.Load()
		sum.Challenges += account.counters.challenges.Load()
	}
	sum.RequestsPerOrder = float64(requests) / float64(opts.count)
	if err := json.NewEncoder(os.Stdout).Encode(sum); err != nil {
		fail(err)
	}
	if result.Errors > 0 || result.OK < opts.count {
		os.Exit(1)
	}
}

// register makes one account for each worker, with all the certificate requests it will send.
func register(ctx context.Context, opts *options, web *web) ([]*account, error) {
	directory, err := readDirectory(ctx, opts)
	if err != nil {
		return nil, err
	}
	accounts := make([]*account, opts.workers)
	for number := range accounts {
		account, err := newAccount(opts, directory, web, number)
		if err != nil {
			return nil, err
		}
		if err := account.register(ctx); err != nil {
			return nil, fmt.Errorf("newAccount: %w", err)
		}
		accounts[number] = account
	}
	return accounts, nil
}

// warmUp places the orders that do not count. One that fails is seen again in those that do.
func warmUp(ctx context.Context, accounts []*account, opts *options) {
	each(accounts, func(account *account) {
		for account.next < opts.share(account.number, opts.warmup) && ctx.Err() == nil {
			_ = account.order(ctx)
		}
	})
}

// each does the work of all accounts at once.
func each(accounts []*account, work func(*account)) {
	var group sync.WaitGroup
	for _, one := range accounts {
		group.Add(1)
		go func(account *account) {
			defer group.Done()
			work(account)
		}(one)
	}
	group.Wait()
}

func (c *counters) reset() {
	for _, one := range []*atomic.Int64{&c.requests, &c.polls, &c.badNonces, &c.challenges} {
		one.Store(0)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "acmeload:", err)
	os.Exit(2)
}
