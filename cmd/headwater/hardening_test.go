package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"headwater/ingest/feed"
	"headwater/ingest/rtmp"
	"headwater/remux"
	"headwater/remux/fanout"
	"headwater/remux/flv"
)

// avcHeader is a sequence header of H.264, 320 by 240.
var avcHeader = append([]byte{0x17, 0, 0, 0, 0}, 1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 8,
	0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80)

// encoder publishes pictures in real time, 25 a second, to a server of another process.
type encoder struct {
	stop func()
	done chan struct{}
	err  error // after done: why it ended
}

// goesOn checks that nothing has ended it.
func (e *encoder) goesOn(t *testing.T) {
	t.Helper()
	select {
	case <-e.done:
		t.Errorf("the encoder was closed: %v", e.err)
	default:
	}
}

// startEncoder returns when the server has accepted, or refused.
func startEncoder(t *testing.T, p *process, name string, size int) (*encoder, error) {
	t.Helper()
	conn, err := net.Dial("tcp", p.addrs["rtmp"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := rtmp.NewClient(conn, rtmp.Target{App: "live", TcURL: "rtmp://" + p.addrs["rtmp"] + "/live", Name: name}, rtmp.ClientOptions{})
	to, err := c.Publish()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	source, err := remux.NewRegistry(remux.DefaultOptions(), nil).Publish(remux.Name{App: "live", Stream: "source"}, remux.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	e := &encoder{done: make(chan struct{})}
	var running sync.WaitGroup
	running.Go(func() { sendPictures(ctx, source, size) })
	running.Go(func() {
		_, err := c.Next()
		cancel(err)
	})
	go func() {
		defer close(e.done)
		out := fanout.New(fanout.Config{SkipPause: 1}) // it may fall behind as often as it likes
		defer out.Close()
		e.err = (&feed.Feed{Stream: source.Stream(), Fanout: out}).Run(ctx, to)
		cancel(e.err)
		_ = conn.Close()
		running.Wait()
	}()
	e.stop = func() { cancel(io.EOF); <-e.done }
	t.Cleanup(e.stop)
	return e, nil
}

func sendPictures(ctx context.Context, to *remux.Publisher, size int) {
	write := func(at int, body []byte) {
		tag := flv.NewTag(len(body))
		copy(flv.Body(tag), body)
		_ = to.Write(flv.TypeVideo, uint32(at), tag)
	}
	write(0, avcHeader)
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		body := make([]byte, size)
		body[0], body[1], body[9] = 0x27, 1, 0x41
		if i%25 == 0 {
			body[0], body[9] = 0x17, 0x65
		}
		binary.BigEndian.PutUint32(body[5:], uint32(size-9))
		write(i*40, body)
		if i < 30 { // the first second is held back, since sound might come
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// viewer reads a stream over HTTP-FLV.
type viewer struct {
	done chan struct{}

	mu   sync.Mutex
	tags int
	last uint32        // timestamp
	hole uint32        // the longest between two timestamps, ms
	gap  time.Duration // and on the wall
	at   time.Time
	err  error
}

func startViewer(t *testing.T, p *process, name string) (*viewer, int) {
	t.Helper()
	res, err := http.Get("http://" + p.addrs["http"] + "/live/" + name + ".flv")
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{done: make(chan struct{}), at: time.Now()}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, res.StatusCode
	}
	t.Cleanup(func() { _ = res.Body.Close(); <-v.done })
	go func() {
		defer close(v.done)
		_, v.err = io.CopyN(io.Discard, res.Body, 13)
		for v.err == nil {
			v.err = v.tag(res.Body)
		}
	}()
	return v, res.StatusCode
}

func (v *viewer) tag(r io.Reader) error {
	var h [11]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return err
	}
	n := int64(h[1])<<16 | int64(h[2])<<8 | int64(h[3])
	if _, err := io.CopyN(io.Discard, r, n+4); err != nil {
		return fmt.Errorf("a tag is cut: %w", err)
	}
	at := uint32(h[7])<<24 | uint32(h[4])<<16 | uint32(h[5])<<8 | uint32(h[6])
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tags > 2 {
		v.hole = max(v.hole, at-v.last)
		v.gap = max(v.gap, time.Since(v.at))
	}
	v.tags, v.last, v.at = v.tags+1, at, time.Now()
	return nil
}

func (v *viewer) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.tags
}

// goesOn waits for a second more of the stream.
func (v *viewer) goesOn(t *testing.T) {
	t.Helper()
	n := v.count()
	eventually(t, "the viewer gets more", func() bool {
		select {
		case <-v.done:
			t.Fatalf("the viewer is closed: %v", v.err)
		default:
		}
		return v.count() > n+25
	})
}

// complete checks that no picture was left out.
func (v *viewer) complete(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.hole > 1000 {
		t.Errorf("%d ms are missing", v.hole)
	}
}

func openServe(t *testing.T, environ ...string) *process {
	t.Helper()
	return startServe(t, append([]string{"HEADWATER_PUBLISH_WITHOUT_SECRET_FROM=127.0.0.0/8"}, environ...), "--data", t.TempDir())
}

// published starts an encoder that is accepted, and a viewer.
func published(t *testing.T, p *process) (*encoder, *viewer) {
	t.Helper()
	e, err := startEncoder(t, p, "x", 1000)
	if err != nil {
		t.Fatal(err)
	}
	v, status := startViewer(t, p, "x")
	if status != http.StatusOK {
		t.Fatalf("the viewer gets %d", status)
	}
	v.goesOn(t)
	return e, v
}

// TestStandstill stops the whole process for five seconds, as a machine does that is
// moved or a debugger that looks: deadlines pass meanwhile, and hold against nobody, not
// even who waits for a playlist, three seconds at most.
func TestStandstill(t *testing.T) {
	t.Parallel()
	p := openServe(t, "HEADWATER_RTMP_IDLE_TIMEOUT=4s", "HEADWATER_RTMP_WRITE_TIMEOUT=4s", "HEADWATER_HLS_SEGMENT_DURATION=1s")
	e, v := published(t, p)
	var list string
	eventually(t, "a playlist", func() bool {
		_, list = p.get(t, "http", "/live/x/fmp4/index.m3u8")
		return strings.Contains(list, "#EXTINF")
	})
	if !strings.Contains(list, "#EXT-X-TARGETDURATION:1\n") {
		t.Fatalf("three target durations are more than three seconds:\n%s", list)
	}
	_, list = p.get(t, "http", "/live/x/fmp4/index.m3u8")
	var waiting []*rawConn
	for range 10 {
		c := dialRaw(t, p, "http")
		c.ask(fmt.Sprintf("GET /live/x/fmp4/index.m3u8?_HLS_msn=%d HTTP/1.1\r\nHost: h\r\n\r\n", lastListed(list)+1))
		waiting = append(waiting, c)
	}
	eventually(t, "they wait", func() bool { return p.metric(t, "headwater_http_requests_blocked") == 10 })
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, c := range waiting {
		if status := c.status(10 * time.Second); status != http.StatusOK {
			t.Errorf("who waits for a playlist gets %d", status)
		}
	}
	v.goesOn(t)
	v.goesOn(t)
	v.complete(t)
	e.goesOn(t)
	if _, list := p.get(t, "http", "/live/x/fmp4/index.m3u8"); strings.Contains(list, "EXT-X-DISCONTINUITY\n") {
		t.Errorf("the playlist has a discontinuity:\n%s", list)
	}
}

// TestNoDescriptors takes away all descriptors that are free, and gives them back.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	p := openServe(t)
	e, v := published(t, p)
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Skip(err)
	}
	before := setDescriptors(t, p, syscall.Rlimit{Cur: uint64(len(open))})
	var waiting []net.Conn
	for range 20 {
		for _, proto := range []string{"rtmp", "http"} {
			c, err := net.Dial("tcp", p.addrs[proto])
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, c)
		}
	}
	eventually(t, "said in the log", func() bool { return strings.Contains(p.log.String(), "cannot accept") })
	v.goesOn(t)
	for _, c := range waiting {
		_ = c.Close()
	}
	setDescriptors(t, p, before)
	began := time.Now()
	second, err := startEncoder(t, p, "y", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("recovered after %v", d)
	}
	second.stop()
	v.goesOn(t)
	v.complete(t)
	e.goesOn(t)
	if n := strings.Count(p.log.String(), "cannot accept"); n > 30 {
		t.Errorf("%d lines say it", n)
	}
	eventually(t, "all descriptors back", func() bool {
		now, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
		return err == nil && len(now) <= len(open)+2
	})
}

// setDescriptors changes the soft limit on descriptors of a process that runs, and
// returns what it was. Max 0 leaves the hard limit.
func setDescriptors(t *testing.T, p *process, limit syscall.Rlimit) (before syscall.Rlimit) {
	t.Helper()
	prlimit := func(change, old *syscall.Rlimit) {
		_, _, no := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(p.cmd.Process.Pid), syscall.RLIMIT_NOFILE,
			uintptr(unsafe.Pointer(change)), uintptr(unsafe.Pointer(old)), 0, 0)
		if no != 0 {
			t.Skipf("prlimit: %v", no)
		}
	}
	prlimit(nil, &before)
	if limit.Max == 0 {
		limit.Max = before.Max
	}
	prlimit(&limit, nil)
	return before
}

// TestTermination ends a server with a publisher and a viewer: the viewer gets all that
// there is, to the end of a tag, and the exit code is 0.
func TestTermination(t *testing.T) {
	t.Parallel()
	p := openServe(t)
	e, v := published(t, p)
	began := time.Now()
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	<-v.done
	v.complete(t)
	if v.err != io.EOF {
		t.Errorf("the viewer's end: %v", v.err)
	}
	<-e.done
	if log := p.log.String(); !strings.Contains(log, `"reason":"shutdown"`) || strings.Contains(log, "cut off") {
		t.Errorf("log:\n%s", log)
	}
}

// TestShortOfMemory fills four fifths of the memory with one stream. Nobody new gets in,
// whoever is there goes on, and when the stream has gone all is as it was.
func TestShortOfMemory(t *testing.T) {
	t.Parallel()
	p := openServe(t, "HEADWATER_LIMITS_MEMORY=96MiB", "HEADWATER_STREAM_RECONNECT_WINDOW=0s", "HEADWATER_STREAM_LINGER=0s",
		"HEADWATER_RTMP_MAX_BITRATE=0bit/s")
	_, v := published(t, p)
	large, err := startEncoder(t, p, "large", 700_000)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "short of memory", func() bool { return strings.Contains(p.log.String(), "short of memory") })
	if _, err := startEncoder(t, p, "y", 1000); err == nil || !strings.Contains(err.Error(), "short of memory") {
		t.Errorf("a new publisher: %v", err)
	}
	if _, status := startViewer(t, p, "x"); status != http.StatusServiceUnavailable {
		t.Errorf("a new viewer gets %d", status)
	}
	if status, _ := p.get(t, "http", "/live/x.m3u8"); status != http.StatusServiceUnavailable {
		t.Errorf("a new HLS viewer gets %d", status)
	}
	if status, _ := p.get(t, "http", "/live/x/fmp4/index.m3u8"); status != http.StatusOK {
		t.Errorf("an HLS viewer who is there gets %d", status)
	}
	v.goesOn(t)
	v.complete(t)
	large.stop()
	eventually(t, "memory again", func() bool { return strings.Contains(p.log.String(), "memory again") })
	if _, err := startEncoder(t, p, "y", 1000); err != nil {
		t.Errorf("a new publisher: %v", err)
	}
}

// TestNoSecretAnywhere uses every kind of secret, right and wrong, and looks for them in
// all that a server says: its log at the finest level, what it prints, its metrics and
// what the listeners answer.
func TestNoSecretAnywhere(t *testing.T) {
	t.Parallel()
	const mark = "hush" // part of each secret
	asked := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
	}))
	defer hook.Close()
	p := startServe(t, []string{
		"HEADWATER_PUBLISH_KEY=hush-publish-key-0123456789",
		"HEADWATER_PUBLISH_KEYS={sk_hush_1: live/shown}",
		"HEADWATER_TOKENS_SECRETS=[{id: a, key: hush-token-secret-of-more-than-32-letters}]",
		"HEADWATER_ADMIN_TOKEN=hush-admin-token",
		"HEADWATER_CALLBACKS_ON_PUBLISH=" + hook.URL + "/asked?pass=hush-callback",
		"HEADWATER_CALLBACKS_ON_PLAY=" + hook.URL + "/asked?pass=hush-callback",
		"HEADWATER_CALLBACKS_SECRET=hush-callback-secret-0123456789abcdef",
		`HEADWATER_RELAY_PUSH=[{name: "live/*", url: "rtmp://127.0.0.1:1/live/hush-target?key=hush-relay"}]`,
		"HEADWATER_PUBLISH_MAX_FAILURES=0",
		"HEADWATER_HTTP_ACCESS_LOG=-",
	}, "--data", t.TempDir(), "--log-level", "debug")
	var accepted []string
	for _, name := range []string{"x?key=hush-publish-key-0123456789&sign=hush", "sk_hush_1", "x?token=hw1.a.hush.hush", "a hush b?key=hush"} {
		e, err := startEncoder(t, p, name, 100)
		switch {
		case err == nil:
			accepted = append(accepted, name)
			e.stop()
		case strings.Contains(err.Error(), mark):
			t.Errorf("told %v", err)
		}
	}
	if len(accepted) != 2 {
		t.Errorf("accepted are %q", accepted)
	}
	eventually(t, "the relay has failed", func() bool { return strings.Contains(p.log.String(), "connection refused") })
	var said strings.Builder
	for _, path := range []string{"/live/gone.flv?token=hush", "/live/gone.m3u8?token=hw1.a.hush", "/token=hush/live/gone.m3u8", "/token=hw1.a.hush/live/gone/fmp4/index.m3u8", "/%74oken=hush/live/gone.m3u8"} {
		_, body := p.get(t, "http", path)
		said.WriteString(body)
	}
	watched, err := startEncoder(t, p, "watched?key=hush-publish-key-0123456789", 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer watched.stop()
	for _, path := range []string{"/live/watched.flv?token=hush", "/token=hush/live/watched.flv"} { // who has let them in is asked by a callback
		res, err := http.Get("http://" + p.addrs["http"] + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	for _, path := range []string{"/live/watched.m3u8?token=hush", "/token=hush/live/watched.m3u8", "/token=hush/live/watched/fmp4/index.m3u8"} {
		_, body := p.get(t, "http", path)
		said.WriteString(body)
	}
	for _, path := range []string{"/", "/metrics", "/api/v1/streams", "/api/v1/streams/live/watched", "/api/v1/viewers", "/api/v1/publishers", "/api/v1/relays", "/api/v1/keys", "/api/v1/server", "/healthz", "/readyz"} {
		_, body := p.get(t, "admin", path)
		said.WriteString(body)
		req, err := http.NewRequest(http.MethodGet, "http://"+p.addrs["admin"]+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer hush-admin-token")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		_, _ = said.Write(text)
	}
	if len(asked) == 0 {
		t.Error("the callback was not asked")
	}
	eventually(t, "a banner", func() bool { return p.stdout.String() != "" })
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for what, text := range map[string]string{"the log": p.log.String(), "standard output": p.stdout.String(), "an answer": said.String()} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, mark) {
				t.Errorf("%s: %s", what, line)
			}
		}
	}
	files, _ := filepath.Glob(filepath.Join(p.cmd.Dir, "*"))
	if len(files) > 0 {
		t.Errorf("it leaves %q", files)
	}
}
