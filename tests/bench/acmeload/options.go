package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

type options struct {
	directory      string
	zone           string
	ip             string
	names          int
	kid, hmac      string
	http01, dns    string
	workers        int
	count, warmup  int
	poll           time.Duration
	timeout, limit time.Duration
	pid, database  int

	client *http.Client
}

func parseOptions() (*options, error) {
	o := &options{}
	flag.StringVar(&o.directory, "directory", "", "URL of the directory, at a loopback address")
	flag.StringVar(&o.zone, "zone", "bench.example", "the names in the orders are all below this one")
	flag.StringVar(&o.ip, "ip", "", "order for this address (RFC 8738), every time, and not for names")
	flag.IntVar(&o.names, "names", 0, "so many names are asked for in turn by each account, each name once before any is asked for again; 0: every order for a new one. A server that keeps authorizations needs no challenge for a name it has seen")
	flag.StringVar(&o.kid, "kid", "", "external account binding: key identifier")
	flag.StringVar(&o.hmac, "hmac", "", "external account binding: key, base64url")
	flag.StringVar(&o.http01, "http01", "", "address to answer http-01 challenges at; empty: a challenge is an error")
	flag.StringVar(&o.dns, "dns", "", "address to answer questions for names at (UDP and TCP), always with 127.0.0.1; empty: nowhere")
	flag.IntVar(&o.workers, "c", 4, "concurrent workers, each with an account and a connection of its own")
	flag.IntVar(&o.count, "n", 1000, "measured orders")
	flag.IntVar(&o.warmup, "warmup", 20, "orders before measuring")
	flag.DurationVar(&o.poll, "poll", 3*time.Millisecond, "pause between two looks at the same thing; what the server says in Retry-After is for the patient")
	flag.DurationVar(&o.timeout, "timeout", 30*time.Second, "limit of one request")
	flag.DurationVar(&o.limit, "limit", 2*time.Minute, "limit of the whole run")
	flag.IntVar(&o.pid, "pid", 0, "server process to measure")
	flag.IntVar(&o.database, "database", 0, "process of the database server behind it, measured with all its children")
	flag.Parse()
	if err := o.check(); err != nil {
		return nil, err
	}
	// Loopback only, and what the peer's certificate is good for is not measured here.
	conf := &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.CurveP256}} //nolint:gosec // see above
	transport := &http.Transport{
		TLSClientConfig: conf, DisableCompression: true,
		MaxIdleConns: o.workers, MaxIdleConnsPerHost: o.workers, MaxConnsPerHost: o.workers,
	}
	o.client = &http.Client{Transport: transport, Timeout: o.timeout}
	return o, nil
}

func (o *options) check() error {
	target, err := url.Parse(o.directory)
	if err != nil {
		return err
	}
	// A load tool aimed at somebody else's server is an attack.
	if ip := net.ParseIP(target.Hostname()); target.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q is not at a loopback address", o.directory)
	}
	for _, address := range []string{o.http01, o.dns} {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); address != "" && (err != nil || ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("%q is not a loopback address", address)
		}
	}
	if o.ip != "" && net.ParseIP(o.ip) == nil {
		return fmt.Errorf("%q is not an address", o.ip)
	}
	if o.workers < 1 || o.count < 1 {
		return errors.New("-c and -n begin at 1")
	}
	return nil
}

// share is how many of so many orders this worker places.
func (o *options) share(worker, orders int) int {
	share := orders / o.workers
	if worker < orders%o.workers {
		share++
	}
	return share
}
