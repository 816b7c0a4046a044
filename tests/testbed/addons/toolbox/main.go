// Command toolbox is a test's hands inside a pod: a web server and a web client.
//
//	toolbox serve [:8080 [TEXT]]
//	toolbox get [-ca FILE] [-token FILE] URL   prints the status code, then the body
//	toolbox cat FILE
//	toolbox put FILE TEXT   writes a file, and fails where it may not
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func serve(args []string) {
	addr, text := ":8080", "hello from toolbox"
	if len(args) > 0 {
		addr = args[0]
	}
	if len(args) > 1 {
		text = strings.Join(args[1:], " ")
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s%s from %s", r.Method, r.Host, r.URL, r.RemoteAddr)
		fmt.Fprintln(w, text)
	})
	log.Printf("serving on %s", addr)
	log.Fatal(http.ListenAndServe(addr, nil))
}

func get(args []string) error {
	fs := flag.NewFlagSet("get", flag.ExitOnError)
	ca := fs.String("ca", "", "trusted CA file")
	token := fs.String("token", "", "bearer token file")
	_ = fs.Parse(args)
	client := &http.Client{Timeout: 10 * time.Second}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	}
	req, err := http.NewRequest("GET", fs.Arg(0), nil)
	if err != nil {
		return err
	}
	if *token != "" {
		t, err := os.ReadFile(*token)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(t)))
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	fmt.Println(res.StatusCode)
	_, err = io.Copy(os.Stdout, res.Body)
	return err
}

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() { <-stop; os.Exit(0) }()
	if len(os.Args) < 2 {
		log.Fatal("usage: toolbox serve|get|cat|put ...")
	}
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2:])
	case "get":
		if err := get(os.Args[2:]); err != nil {
			log.Fatal(err)
		}
	case "cat":
		data, err := os.ReadFile(os.Args[2])
		if err != nil {
			log.Fatal(err)
		}
		os.Stdout.Write(data)
	case "put":
		if err := os.WriteFile(os.Args[2], []byte(os.Args[3]), 0o600); err != nil {
			log.Fatal(err)
		}
	default:
		log.Fatalf("unknown command %q", os.Args[1])
	}
}
