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
// seen before with the certificate it has made already. The keys come with them, in the same order.
func certificateRequests(name string, count int) ([][]byte, []*ecdsa.PrivateKey, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}}
	requests, keys := make([][]byte, 0, count), make([]*ecdsa.PrivateKey, 0, count)
	for len(requests) < count {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
		if err != nil {
			return nil, nil, err
		}
		requests = append(requests, []byte(base64.StdEncoding.EncodeToString(der)))
		keys = append(keys, key)
	}
	return requests, keys, nil
}
