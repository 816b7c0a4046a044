package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// maximumPolls is how often one thing is looked at again before its order counts as failed.
const maximumPolls = 2000

type order struct {
	Status         string
	Authorizations []string
	Finalize       string
	Certificate    string
	Error          json.RawMessage
}

type authorization struct {
	Status     string
	Challenges []struct{ Type, URL, Token string }
}

// order places the next order and fetches its certificate (RFC 8555 §7.4).
func (a *account) order(ctx context.Context) error {
	wanted := a.requests[a.next]
	a.next++
	var placed order
	identifiers := []map[string]string{{"type": wanted.kind, "value": wanted.name}}
	header, body, err := a.post(ctx, a.directory.NewOrder, map[string]interface{}{"identifiers": identifiers})
	if err == nil {
		err = json.Unmarshal(body, &placed)
	}
	if err != nil {
		return fmt.Errorf("newOrder: %w", err)
	}
	url := header.Get("Location")
	if placed.Status != "ready" {
		for _, one := range placed.Authorizations {
			if err := a.authorize(ctx, one); err != nil {
				return fmt.Errorf("authorization: %w", err)
			}
		}
	}

	// An order whose authorizations are all valid is ready (§7.1.6): nobody has to be asked.
	_, body, err = a.post(ctx, placed.Finalize, map[string]string{"csr": wanted.csr})
	if err == nil {
		err = json.Unmarshal(body, &placed)
	}
	if err != nil {
		return fmt.Errorf("finalize: %w", err)
	}
	err = a.until(ctx, "valid", func(first bool) (string, error) {
		if !first {
			a.counters.polls.Add(1)
			if err := a.read(ctx, url, &placed); err != nil {
				return "", err
			}
		}
		return placed.Status, nil
	})
	if err != nil {
		return fmt.Errorf("order: %w: %.200s", err, placed.Error)
	}
	_, body, err = a.post(ctx, placed.Certificate, nil)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if block, _ := pem.Decode(body); block == nil || block.Type != "CERTIFICATE" {
		return errors.New("the answer holds no certificate")
	}
	return nil
}

// authorize proves that the name is ours, unless the server takes that for proven.
func (a *account) authorize(ctx context.Context, url string) error {
	var found authorization
	if err := a.read(ctx, url, &found); err != nil {
		return err
	}
	if found.Status == "valid" {
		return nil
	}
	for _, challenge := range found.Challenges {
		if challenge.Type != "http-01" {
			continue
		}
		a.counters.challenges.Add(1)
		a.web.offer(challenge.Token, a.thumbprint)
		defer a.web.withdraw(challenge.Token)
		if _, _, err := a.post(ctx, challenge.URL, struct{}{}); err != nil {
			return fmt.Errorf("challenge: %w", err)
		}
		return a.until(ctx, "valid", func(first bool) (string, error) {
			if !first {
				a.counters.polls.Add(1)
			}
			err := a.read(ctx, url, &found)
			return found.Status, err
		})
	}
	return errors.New("no http-01 challenge")
}

// until looks until the status is the one that is waited for.
func (a *account) until(ctx context.Context, wanted string, look func(first bool) (string, error)) error {
	for polls := 0; ; polls++ {
		status, err := look(polls == 0)
		switch {
		case err != nil:
			return err
		case status == wanted:
			return nil
		case status == "invalid":
			return errors.New("became invalid")
		case polls == maximumPolls:
			return fmt.Errorf("is still %q", status)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(a.opts.poll):
		}
	}
}
