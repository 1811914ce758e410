package traffic

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// entry is one answer.
type entry struct {
	began                      time.Time
	remote, method, uri, proto string
	referer, agent, kind       string
	status                     int
	bytes                      uint64
}

// entry returns what is known of the request so far.
func (s *recorder) entry() entry {
	if s.traffic.log == nil {
		return entry{}
	}
	r := s.request
	return entry{
		began: s.began, remote: r.RemoteAddr, method: r.Method, uri: redacted(r.URL), proto: r.Proto,
		referer: redactedText(r.Referer()), agent: r.UserAgent(), kind: s.kind.String(),
	}
}

// AccessLog writes a line for each answer, when it is over, in the order of their
// ends. It never keeps an answer waiting: where the disk cannot follow, lines are
// left out and counted.
type AccessLog struct {
	json    bool
	lines   chan []byte
	dropped atomic.Uint64
	reopen  chan chan error
	quit    chan struct{} // closed to write what waits and end
	done    chan struct{} // closed then
	close   sync.Once
	open    func() (io.WriteCloser, error)
}

// maxLines bounds the lines that wait to be written.
const maxLines = 4096

// OpenAccessLog writes to a file, which it makes or adds to; "-" is stdout. In JSON,
// or else in the Combined Log Format with the seconds that it took at the end.
func OpenAccessLog(path string, asJSON bool, stdout io.Writer) (*AccessLog, error) {
	l := &AccessLog{
		json: asJSON, lines: make(chan []byte, maxLines), reopen: make(chan chan error),
		quit: make(chan struct{}), done: make(chan struct{}),
		open: func() (io.WriteCloser, error) { return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640) },
	}
	if path == "-" {
		l.open = func() (io.WriteCloser, error) { return keepOpen{stdout}, nil }
	}
	w, err := l.open()
	if err != nil {
		return nil, fmt.Errorf("open access log: %w", err)
	}
	go l.run(w)
	return l, nil
}

type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// run writes what there is, and flushes when there is no more.
func (l *AccessLog) run(w io.WriteCloser) {
	defer close(l.done)
	b := bufio.NewWriterSize(w, 64<<10)
	write := func(line []byte) {
		_, err := b.Write(line)
		if err == nil && len(l.lines) == 0 {
			err = b.Flush()
		}
		if err != nil {
			l.dropped.Add(1)
			b.Reset(w) // the next may fit again
		}
	}
	for {
		select {
		case line := <-l.lines:
			write(line)
		case answer := <-l.reopen:
			_ = b.Flush()
			fresh, err := l.open()
			if err == nil {
				_ = w.Close()
				w = fresh
				b.Reset(w)
			}
			answer <- err
		case <-l.quit:
			for len(l.lines) > 0 {
				write(<-l.lines)
			}
			_ = w.Close()
			return
		}
	}
}

// Reopen opens the file of the path again, for whoever has moved the old one away.
// A nil log does nothing, here and in the other methods.
func (l *AccessLog) Reopen() error {
	if l == nil {
		return nil
	}
	answer := make(chan error, 1)
	select {
	case l.reopen <- answer:
		return <-answer
	case <-l.quit:
		return nil
	case <-time.After(diskTime):
		return errors.New("reopen access log: the disk takes nothing")
	}
}

// Dropped returns how many lines were left out.
func (l *AccessLog) Dropped() uint64 {
	if l == nil {
		return 0
	}
	return l.dropped.Load()
}

// diskTime is how long Close and Reopen wait for the disk.
const diskTime = 2 * time.Second

// Close writes what waits, unless that takes too long. What is logged later is lost.
func (l *AccessLog) Close() {
	if l == nil {
		return
	}
	l.close.Do(func() { close(l.quit) })
	select {
	case <-l.done:
	case <-time.After(diskTime):
	}
}

func (l *AccessLog) write(e entry) {
	if l == nil {
		return
	}
	line := e.combined()
	if l.json {
		line = e.json()
	}
	select {
	case l.lines <- line:
	default:
		l.dropped.Add(1)
	}
}

// combined is the Combined Log Format, and the seconds that the answer took.
func (e entry) combined() []byte {
	host := e.remote
	if h, _, err := net.SplitHostPort(e.remote); err == nil {
		host = h
	}
	b := make([]byte, 0, 256)
	b = append(append(b, host...), " - - ["...)
	b = e.began.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] `...)
	b = quoted(b, e.method+" "+e.uri+" "+e.proto)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(e.status), 10)
	b = append(b, ' ')
	b = strconv.AppendUint(b, e.bytes, 10)
	b = quoted(append(b, ' '), orDash(e.referer))
	b = quoted(append(b, ' '), orDash(e.agent))
	b = append(b, ' ')
	b = strconv.AppendFloat(b, time.Since(e.began).Seconds(), 'f', 3, 64)
	return append(b, '\n')
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// quoted appends text so that it stays on its line and between its quotes.
func quoted(b []byte, s string) []byte {
	return strconv.AppendQuoteToASCII(b, s[:min(len(s), 2048)])
}

func (e entry) json() []byte {
	b := make([]byte, 0, 384)
	text := func(name, value string) {
		b = append(b, `,"`...)
		b = append(append(b, name...), `":`...)
		b = appendString(b, value[:min(len(value), 2048)])
	}
	b = append(b, `{"time":"`...)
	b = e.began.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	text("remote", e.remote)
	text("method", e.method)
	text("uri", e.uri)
	text("proto", e.proto)
	text("kind", e.kind)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(e.status), 10)
	b = strconv.AppendUint(append(b, `,"bytes":`...), e.bytes, 10)
	b = strconv.AppendFloat(append(b, `,"seconds":`...), time.Since(e.began).Seconds(), 'f', 3, 64)
	text("referer", e.referer)
	text("agent", e.agent)
	return append(b, "}\n"...)
}

// secretParameters are those whose values no log shows.
var secretParameters = []string{"key", "token", "sig", "auth", "secret", "pass", "jwt", "session", "credential", "policy", "hmac", "md5", "hdn"}

// tokenPath is what stands in front of a token in a path.
const tokenPath = "/token="

func isSecret(name string) bool {
	name = strings.ToLower(name)
	for _, s := range secretParameters {
		if strings.Contains(name, s) {
			return true
		}
	}
	return false
}

// redacted returns the URI of a request without the values that may be secret.
func redacted(u *url.URL) string {
	path := u.EscapedPath()
	if strings.HasPrefix(u.Path, tokenPath) { // the stored path, for an escape would hide it here
		path = (&url.URL{Path: tokenPath + "-/" + withoutToken(u.Path)}).EscapedPath()
	}
	if u.RawQuery == "" {
		return path
	}
	pairs := strings.Split(u.RawQuery, "&")
	for i, pair := range pairs {
		name, _, ok := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil || strings.Contains(pair, ";") || isSecret(plain) {
			if ok || err != nil {
				pairs[i] = name + "=-"
			}
		}
	}
	return path + "?" + strings.Join(pairs, "&")
}

// redactedText does the same to a URL that a client has sent.
func redactedText(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	if u.RawQuery == "" && u.User == nil && u.Fragment == "" && !strings.HasPrefix(u.Path, tokenPath) {
		return s
	}
	clean := url.URL{Scheme: u.Scheme, Host: u.Host}
	return clean.String() + redacted(u)
}

func appendString(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // there is none for a string
		return append(b, `""`...)
	}
	return append(b, text...)
}
