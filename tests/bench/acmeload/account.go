package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maximumTries is how often a request is sent again after badNonce (RFC 8555 §6.5).
const maximumTries = 5

var base64url = base64.RawURLEncoding

var errBadNonce = errors.New("badNonce")

type directory struct{ NewNonce, NewAccount, NewOrder string }

// account is one worker: its key, its nonce, and the orders it is going to place.
type account struct {
	opts      *options
	directory directory
	web       *web
	number    int
	counters  counters

	key        *ecdsa.PrivateKey
	jwk        string // members in the order that RFC 7638 hashes them in
	thumbprint string
	url        string
	nonce      string

	requests []request
	next     int
}

// request is what one order asks for.
type request struct {
	kind string // dns or ip
	name string
	csr  string // PKCS#10, base64url
}

func readDirectory(ctx context.Context, opts *options) (directory, error) {
	var found directory
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, opts.directory, nil)
	if err != nil {
		return found, err
	}
	answer, err := opts.client.Do(get)
	if err != nil {
		return found, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return found, fmt.Errorf("the directory is not there: status %d", answer.StatusCode)
	}
	return found, json.NewDecoder(answer.Body).Decode(&found)
}

// newAccount makes the keys and certificate requests of one worker, so that none are made while others are measured.
func newAccount(opts *options, directory directory, web *web, number int) (*account, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	coordinate := func(bytes []byte) string { return base64url.EncodeToString(bytes) }
	x, y := coordinate(key.X.FillBytes(make([]byte, 32))), coordinate(key.Y.FillBytes(make([]byte, 32)))
	jwk := fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, x, y)
	hash := sha256.Sum256([]byte(jwk))
	account := &account{
		opts: opts, directory: directory, web: web, number: number,
		key: key, jwk: jwk, thumbprint: base64url.EncodeToString(hash[:]),
	}
	run := time.Now().UnixNano() / int64(time.Millisecond)
	total := opts.share(number, opts.warmup) + opts.share(number, opts.count)
	for order := 0; order < total; order++ {
		which := order
		if opts.names > 0 {
			which %= opts.names
		}
		// A name of this run alone, so that no server knows it from the last one.
		wanted := request{kind: "dns", name: fmt.Sprintf("n%d-%d-%d.%s", run, number, which, opts.zone)}
		if opts.ip != "" {
			wanted = request{kind: "ip", name: opts.ip}
		}
		if wanted.csr, err = certificateRequest(wanted); err != nil {
			return nil, err
		}
		account.requests = append(account.requests, wanted)
	}
	return account, nil
}

// certificateRequest is for a key of its own, as clients make them.
func certificateRequest(wanted request) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: wanted.name}, DNSNames: []string{wanted.name}}
	if wanted.kind == "ip" {
		template = &x509.CertificateRequest{IPAddresses: []net.IP{net.ParseIP(wanted.name)}}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	return base64url.EncodeToString(der), err
}

// register places the account (RFC 8555 §7.3), bound where a key for that is given (§7.3.4).
func (a *account) register(ctx context.Context) error {
	payload := map[string]interface{}{"termsOfServiceAgreed": true}
	if a.opts.kid != "" {
		key, err := base64url.DecodeString(strings.TrimRight(a.opts.hmac, "="))
		if err != nil {
			return fmt.Errorf("-hmac: %w", err)
		}
		protected := fmt.Sprintf(`{"alg":"HS256","kid":"%s","url":"%s"}`, a.opts.kid, a.directory.NewAccount)
		binding, err := jws(protected, []byte(a.jwk), func(input []byte) ([]byte, error) {
			mac := hmac.New(sha256.New, key)
			mac.Write(input)
			return mac.Sum(nil), nil
		})
		if err != nil {
			return err
		}
		payload["externalAccountBinding"] = json.RawMessage(binding)
	}
	header, _, err := a.post(ctx, a.directory.NewAccount, payload)
	if err != nil {
		return err
	}
	a.url = header.Get("Location")
	if a.url == "" {
		return errors.New("the account has no URL")
	}
	return nil
}

// read is POST-as-GET of a JSON object (RFC 8555 §6.3).
func (a *account) read(ctx context.Context, url string, into interface{}) error {
	_, body, err := a.post(ctx, url, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// post sends a signed request; a payload of nil is POST-as-GET.
func (a *account) post(ctx context.Context, url string, payload interface{}) (http.Header, []byte, error) {
	var body []byte
	if payload != nil {
		var err error
		if body, err = json.Marshal(payload); err != nil {
			return nil, nil, err
		}
	}
	for try := 1; ; try++ {
		header, answer, err := a.postOnce(ctx, url, body)
		if !errors.Is(err, errBadNonce) || try == maximumTries {
			return header, answer, err
		}
		a.counters.badNonces.Add(1)
	}
}

func (a *account) postOnce(ctx context.Context, url string, payload []byte) (http.Header, []byte, error) {
	if a.nonce == "" {
		if err := a.fetchNonce(ctx); err != nil {
			return nil, nil, err
		}
	}
	who := `"kid":"` + a.url + `"`
	if a.url == "" {
		who = `"jwk":` + a.jwk
	}
	protected := fmt.Sprintf(`{"alg":"ES256","nonce":"%s","url":"%s",%s}`, a.nonce, url, who)
	message, err := jws(protected, payload, a.sign)
	if err != nil {
		return nil, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(message))
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Content-Type", "application/jose+json")
	header, answer, status, err := a.send(request)
	if err != nil || status < http.StatusMultipleChoices {
		return header, answer, err
	}
	if bytes.Contains(answer, []byte("error:badNonce")) {
		return header, nil, errBadNonce
	}
	return header, nil, fmt.Errorf("status %d: %.200s", status, answer)
}

func (a *account) fetchNonce(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, a.directory.NewNonce, nil)
	if err != nil {
		return err
	}
	_, _, _, err = a.send(request)
	if err == nil && a.nonce == "" {
		err = errors.New("newNonce gave none")
	}
	return err
}

// send reads the whole answer, and keeps the nonce that came with it.
func (a *account) send(request *http.Request) (http.Header, []byte, int, error) {
	a.counters.requests.Add(1)
	response, err := a.opts.client.Do(request)
	if err != nil {
		return nil, nil, 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	a.nonce = response.Header.Get("Replay-Nonce")
	return response.Header, answer, response.StatusCode, err
}

// sign is ES256: both numbers in 32 octets each (RFC 7518 §3.4).
func (a *account) sign(input []byte) ([]byte, error) {
	hash := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, a.key, hash[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature, nil
}

// jws is the flattened JSON form (RFC 7515 §7.2.2).
func jws(protected string, payload []byte, sign func([]byte) ([]byte, error)) ([]byte, error) {
	head, body := base64url.EncodeToString([]byte(protected)), base64url.EncodeToString(payload)
	signature, err := sign([]byte(head + "." + body))
	if err != nil {
		return nil, err
	}
	message := fmt.Sprintf(`{"protected":"%s","payload":"%s","signature":"%s"}`, head, body, base64url.EncodeToString(signature))
	return []byte(message), nil
}
