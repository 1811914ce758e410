package access

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"headwater/origin/peer"
)

// maxAnswer bounds what is read of an answer's body.
const maxAnswer = 64 << 10

// answer is what a callback or a JWKS server said.
type answer struct {
	status   int
	location string
	body     []byte
}

// wrapper is the type of Options.Transport.
type wrapper = func(http.RoundTripper) http.RoundTripper

// newClient returns a client for the URLs of a configuration. It follows no
// redirect and uses no proxy, so that it connects to nothing but the host that
// the operator named; and where that name leads to the link-local or metadata
// addresses of a cloud, it does not connect unless one of hosts is that very
// address.
func newClient(wrap wrapper, hosts ...string) *http.Client {
	dialer := &net.Dialer{
		Timeout: 3 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return checkAddress(address, hosts)
		},
	}
	var transport http.RoundTripper = &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    3 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    maxInFlight,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true, // 64 KB stay 64 KB
	}
	if wrap != nil {
		transport = wrap(transport)
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// metadata are addresses beside the link-local ones where clouds tell a machine
// its secrets.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("100.100.100.200/32"),
	netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("192.0.0.192/32"),
	netip.MustParsePrefix("fd00:ec2::254/128"),
	netip.MustParsePrefix("fd20:ce::254/128"),
}

// checkAddress decides about a resolved address, HOST:PORT.
func checkAddress(address string, hosts []string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("connect to %q: not an address", address)
	}
	addr := peer.Plain(ap.Addr())
	if !addr.IsLinkLocalUnicast() && !addr.IsMulticast() && !peer.Among(metadata, addr) {
		return nil
	}
	named := slices.ContainsFunc(hosts, func(h string) bool {
		a, err := netip.ParseAddr(h)
		return err == nil && peer.Plain(a) == addr
	})
	if !named {
		return fmt.Errorf("connect to %s: link-local and metadata addresses must be named in the URL", addr)
	}
	return nil
}

// errTooLarge says that an answer is longer than anybody should need.
var errTooLarge = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

// exchange sends a request and reads the whole answer. Its errors do not repeat
// the URL, which may hold a secret.
func exchange(client *http.Client, req *http.Request) (answer, error) {
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, withoutURL(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, fmt.Errorf("read answer: %w", err)
	case len(body) > maxAnswer:
		return answer{}, errTooLarge
	}
	return answer{resp.StatusCode, resp.Header.Get("Location"), body}, nil
}

func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// printable cuts text from outside down to what an encoder's window and a log
// line should hold.
func printable(s string, longest int) string {
	s = strings.ToValidUTF8(s[:min(len(s), 4*longest)], "")
	s = strings.Map(func(c rune) rune {
		if c < ' ' || 0x7f <= c && c < 0xa0 || c == '\u2028' || c == '\u2029' || '\u202a' <= c && c <= '\u202e' || '\u2066' <= c && c <= '\u2069' {
			return -1
		}
		return c
	}, s)
	s = strings.TrimSpace(s)
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "")
	}
	return s
}
