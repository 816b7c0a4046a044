package main

import (
	"context"
	"crypto/tls"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// becomeDevice enrols once with the password and puts the certificate into the client, in place of the password: what
// follows is measured as a device that renews.
func becomeDevice(ctx context.Context, client *http.Client, opts *options) error {
	requests, keys, err := certificateRequests(opts.name, 1)
	if err != nil {
		return err
	}
	answer, err := send(ctx, client, opts, opts.first, requests[0])
	if err != nil {
		return fmt.Errorf("the first certificate was not issued: %w", err)
	}
	certificate, err := firstCertificate(answer)
	if err != nil {
		return err
	}
	transport, known := client.Transport.(*http.Transport)
	if !known {
		return errors.New("no transport to put a certificate into")
	}
	// The connection of the first request has no certificate.
	transport.CloseIdleConnections()
	device := tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: keys[0]}
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &device, nil
	}
	opts.user, opts.password = "", ""
	return nil
}

// firstCertificate answers the first certificate of a certs-only SignedData (RFC 5652 §5.1) in base64.
func firstCertificate(answer []byte) ([]byte, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(answer)), ""))
	if err != nil {
		return nil, fmt.Errorf("the answer is not base64: %w", err)
	}
	var content struct {
		Type   asn1.ObjectIdentifier
		Signed struct {
			Version      int
			Digests      asn1.RawValue
			Encapsulated asn1.RawValue
			Certificates asn1.RawValue `asn1:"tag:0"`
			Rest         asn1.RawValue `asn1:"optional"`
		} `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &content); err != nil {
		return nil, fmt.Errorf("the answer is not a certs-only SignedData: %w", err)
	}
	var first asn1.RawValue
	if _, err := asn1.Unmarshal(content.Signed.Certificates.Bytes, &first); err != nil {
		return nil, fmt.Errorf("the answer holds no certificate: %w", err)
	}
	return first.FullBytes, nil
}
