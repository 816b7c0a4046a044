package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

type options struct {
	url, method, ca string
	name            string
	bodies          [][]byte
	headers         list
	user, password  string
	workers         int
	count, warmup   int
	connection      string
	curve           string
	expect          int
	timeout, limit  time.Duration
	pid, database   int
	first           string
	template        string
}

type list []string

func (l *list) String() string         { return strings.Join(*l, ",") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

var curves = map[string]tls.CurveID{"x25519": tls.X25519, "p256": tls.CurveP256}

func parseOptions() (*options, error) {
	o := &options{}
	var csrName, user string
	flag.StringVar(&o.url, "url", "", "URL of a loopback address")
	flag.StringVar(&o.method, "method", "POST", "HTTP method")
	flag.StringVar(&csrName, "csr", "", "common name and DNS name of the certificate request that each HTTP request carries, in base64: a new key and a new request every time, made before anything is measured")
	flag.Var(&o.headers, "H", "header «Name: value»; repeatable")
	flag.StringVar(&user, "user", "", "HTTP Basic «name:password»")
	flag.IntVar(&o.workers, "c", 4, "concurrent workers")
	flag.IntVar(&o.count, "n", 1000, "measured requests")
	flag.IntVar(&o.warmup, "warmup", 50, "requests sent before measuring")
	flag.StringVar(&o.connection, "connection", "keepalive", "keepalive | handshake (a connection and a full handshake a request)")
	flag.StringVar(&o.curve, "curve", "x25519", "key exchange: x25519 | p256")
	flag.StringVar(&o.ca, "cacert", "", "PEM file the server's certificate chains to (empty: not verified)")
	flag.IntVar(&o.expect, "expect", 200, "status that counts as success")
	flag.DurationVar(&o.timeout, "timeout", 30*time.Second, "limit of one request")
	flag.DurationVar(&o.limit, "limit", 2*time.Minute, "limit of the whole run")
	flag.IntVar(&o.pid, "pid", 0, "server process to measure")
	flag.IntVar(&o.database, "database", 0, "process of the database server behind it, measured with all its children")
	flag.StringVar(&o.first, "first", "", "URL of simpleenroll: enrols there once, and measures with that certificate as client certificate instead of -user")
	flag.StringVar(&o.template, "template", "", "what the body is, with the certificate request in place of «%s»; nothing: the request alone")
	flag.Parse()

	o.user, o.password, _ = strings.Cut(user, ":")
	if err := o.check(); err != nil {
		return nil, err
	}
	if csrName == "" {
		return o, nil
	}
	o.name = csrName
	var err error
	o.bodies, _, err = certificateRequests(csrName, o.count+o.warmup)
	if before, after, found := strings.Cut(o.template, "%s"); found {
		for place, request := range o.bodies {
			o.bodies[place] = []byte(before + string(request) + after)
		}
	}
	return o, err
}

func (o *options) check() error {
	for _, address := range []string{o.url, o.first} {
		target, err := url.Parse(address)
		if err != nil {
			return err
		}
		// A load tool aimed at somebody else's server is an attack.
		if ip := net.ParseIP(target.Hostname()); address != "" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("%s is not a loopback address", address)
		}
	}
	if o.url == "" {
		return errors.New("-url is missing")
	}
	if _, known := curves[o.curve]; !known {
		return fmt.Errorf("unknown -curve %q", o.curve)
	}
	if o.connection != "keepalive" && o.connection != "handshake" {
		return fmt.Errorf("unknown -connection %q", o.connection)
	}
	return nil
}

func newClient(o *options) (*http.Client, error) {
	conf := &tls.Config{CurvePreferences: []tls.CurveID{curves[o.curve]}}
	if o.ca == "" {
		conf.InsecureSkipVerify = true //nolint:gosec // loopback only, and the peer's certificate is its own
	} else {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", o.ca)
		}
	}
	transport := &http.Transport{
		TLSClientConfig: conf, DisableKeepAlives: o.connection == "handshake", DisableCompression: true,
		MaxIdleConns: o.workers, MaxIdleConnsPerHost: o.workers, MaxConnsPerHost: o.workers,
	}
	return &http.Client{Transport: transport, Timeout: o.timeout}, nil
}
