// Package twin asks another origin how it has a stream, over the API of its admin
// listener, so that two servers with the same encoder publish the same segments
// (remux.Twin).
package twin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"headwater/remux"
)

// Config names the other origin.
type Config struct {
	URL   string // of its admin listener, http or https; without a path
	Token string // its admin token; "": it asks for none
}

// Validate returns why a URL cannot be one of an admin listener.
func (c Config) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("is not of the form http://HOST:PORT")
	}
	return nil
}

// A twin that is there answers at once; one that is not must not keep viewers.
const (
	timeout   = time.Second
	maxAnswer = 64 << 10
)

// New returns how to ask. Connections are kept.
func New(c Config) remux.Twin {
	client := &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") },
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: timeout / 2}).DialContext,
			TLSHandshakeTimeout: timeout,
			MaxIdleConnsPerHost: 8,
			IdleConnTimeout:     30 * time.Second,
		},
	}
	base := strings.TrimSuffix(c.URL, "/")
	return func(ctx context.Context, name remux.Name) (remux.TwinState, error) {
		return ask(ctx, client, base+Path(name), c.Token)
	}
}

// Path is where the API has the state of a stream for its twin.
func Path(name remux.Name) string { return "/api/v1/streams/" + name.String() + "/twin" }

func ask(ctx context.Context, client *http.Client, url, token string) (state remux.TwinState, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return state, fmt.Errorf("ask twin: %w", err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		return state, fmt.Errorf("ask twin: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusNotFound {
		return state, ErrNoStream
	}
	if res.StatusCode != http.StatusOK {
		return state, fmt.Errorf("ask twin: it answers %s", res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&state); err != nil {
		return state, fmt.Errorf("read twin's answer: %w", err)
	}
	return state, nil
}

// ErrNoStream says that the twin has no stream of that name, which is no fault.
var ErrNoStream = errors.New("the twin has no such stream")
