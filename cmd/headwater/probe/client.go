package probe

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Bounds on what a server can make the probe do.
const (
	maxRedirects = 5
	maxRequests  = 5000
	maxHeader    = 64 << 10
	maxPlaylist  = 1 << 20
	maxInit      = 2 << 20
	maxSegment   = 256 << 20 // read, not kept
	maxURL       = 8 << 10
	dialTimeout  = 5 * time.Second
	firstTimeout = 15 * time.Second // for the first answer of all
)

var (
	errTooLarge  = errors.New("larger than any player would take")
	errRequests  = errors.New("the server keeps asking for more requests than any player makes")
	errRedirects = errors.New("too many redirects")
)

// kind is what a request is for, in the plural: caches and headers mean different
// things for each.
type kind string

const (
	multivariant kind = "multivariant playlists"
	mediaList    kind = "playlists"
	initSection  kind = "init sections"
	segment      kind = "segments"
	part         kind = "parts"
	endless      kind = "streams"
)

// client asks for things and notes how they are delivered.
type client struct {
	http     *http.Client
	delivery delivery

	mu       sync.Mutex
	requests int   // guarded by mu
	bytes    int64 // guarded by mu
}

func newClient() *client {
	return &client{
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
				TLSHandshakeTimeout:    dialTimeout,
				MaxResponseHeaderBytes: maxHeader,
				DisableCompression:     true, // what it says has to be seen
				ForceAttemptHTTP2:      true,
				MaxConnsPerHost:        8,
			},
			CheckRedirect: func(req *http.Request, via []*http.Request) error {
				if len(via) > maxRedirects {
					return errRedirects
				}
				return nil
			},
		},
		delivery: delivery{seen: map[kind]*headers{}},
	}
}

// answer is a response whose body is still to be read.
type answer struct {
	url       *url.URL // that answered, behind redirects
	status    int
	header    http.Header
	first     time.Duration // from the request to the header
	asked     time.Time
	body      io.Reader // never more than the kind's bound
	close     func()
	redirects int
}

// get asks for a resource. byteRange is a Range header or "". The caller closes.
func (c *client) get(ctx context.Context, k kind, u *url.URL, byteRange string, limit int64) (*answer, error) {
	if err := c.count(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	// Asked as a page on another site would: only so do some servers show their
	// CORS headers.
	req.Header.Set("Origin", "https://player.invalid")
	req.Header.Set("User-Agent", "headwater-probe")
	if k == multivariant || k == mediaList {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	asked := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	a := &answer{
		url: res.Request.URL, status: res.StatusCode, header: res.Header,
		first: time.Since(asked), asked: asked, close: func() { _ = res.Body.Close() },
	}
	for r := res.Request.Response; r != nil && a.redirects <= maxRedirects; r = r.Request.Response {
		a.redirects++
	}
	a.body = &bounded{r: res.Body, left: limit, client: c}
	if res.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(a.body)
		if err != nil {
			a.close()
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		a.body = &bounded{r: z, left: limit}
	}
	c.delivery.look(k, a)
	return a, nil
}

func (c *client) count() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests++; c.requests > maxRequests {
		return errRequests
	}
	return nil
}

// totals returns what has been asked for and received.
func (c *client) totals() (requests int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests, c.bytes
}

// bounded fails where a body is longer than it may be.
type bounded struct {
	r      io.Reader
	left   int64
	client *client // counts bytes of the wire; nil: does not
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if b.client != nil {
		b.client.mu.Lock()
		b.client.bytes += int64(n)
		b.client.mu.Unlock()
	}
	return n, err
}

// resolve returns what a URI in a playlist stands for.
func resolve(base *url.URL, uri string) (*url.URL, error) {
	if len(uri) > maxURL {
		return nil, fmt.Errorf("a URI of %d bytes", len(uri))
	}
	u, err := base.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("a URI that is none: %.80q", uri)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("a URI that is not HTTP: %.80q", uri)
	}
	return u, nil
}
