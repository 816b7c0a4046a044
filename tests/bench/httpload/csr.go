package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
)

// certificateRequests makes PKCS#10 requests in base64, each for a key of its own: a server may answer a request it has
// seen before with the certificate it has made already.
func certificateRequests(name string, count int) ([][]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}}
	requests := make([][]byte, 0, count)
	for len(requests) < count {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
		if err != nil {
			return nil, err
		}
		requests = append(requests, []byte(base64.StdEncoding.EncodeToString(der)))
	}
	return requests, nil
}
