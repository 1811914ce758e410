package origin

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"headwater/remux"
	"headwater/remux/flv"
)

// dial opens a WebSocket on a stream.
func (f *fixture) dial(t *testing.T, path string, header http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	c, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(f.server.URL, "http")+path, header)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetReadDeadline(time.Now().Add(15 * time.Second))
	}
	return c, res, err
}

// messages is a reader of the binary messages that a WebSocket brings, one after the
// other.
type messages struct {
	t    *testing.T
	conn *websocket.Conn
	rest []byte
}

func (m *messages) Read(b []byte) (int, error) {
	for len(m.rest) == 0 {
		typ, p, err := m.conn.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
		if typ != websocket.BinaryMessage {
			m.t.Errorf("a message of type %d", typ)
		}
		m.rest = p
	}
	n := copy(b, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// A WebSocket brings the same file as HTTP does, and its end.
func TestWebSocketFLV(t *testing.T) {
	for _, tls := range []bool{false, true} {
		f := start(t, 3)
		dialer, url := *websocket.DefaultDialer, "ws"+strings.TrimPrefix(f.server.URL, "http")
		if tls {
			s := httptest.NewTLSServer(f.handler)
			t.Cleanup(s.Close)
			dialer.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
			dialer.TLSClientConfig.NextProtos = nil
			url = "wss" + strings.TrimPrefix(s.URL, "https")
		}
		c, _, err := dialer.DialContext(t.Context(), url+"/live/x.flv", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetReadDeadline(time.Now().Add(15 * time.Second))
		res, err := http.Get(f.server.URL + "/live/x.flv")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		ws := &messages{t: t, conn: c}
		for _, r := range []io.Reader{ws, res.Body} { // both have begun, at the same key frame
			if _, err := io.ReadFull(r, make([]byte, 13)); err != nil {
				t.Fatal(err)
			}
		}
		feed(t, f.publisher, 3000, 6000)
		f.registry.Close()
		got, err := io.ReadAll(ws)
		if err != nil {
			t.Fatalf("TLS %v: %v", tls, err)
		}
		want, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) || len(got) < 100_000 {
			t.Errorf("TLS %v: %d bytes by WebSocket, %d by HTTP", tls, len(got), len(want))
		}
	}
}

// Pings are answered between two messages, other messages pass unread, and a Close
// is answered by one.
func TestWebSocketControl(t *testing.T) {
	t.Parallel()
	f := start(t, 3)
	c, _, err := f.dial(t, "/live/x.flv", nil)
	if err != nil {
		t.Fatal(err)
	}
	pong := make(chan string, 1)
	c.SetPongHandler(func(s string) error { pong <- s; return nil })
	if err := c.WriteMessage(websocket.TextMessage, make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() {
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				closed <- err
				return
			}
		}
	}()
	for ts, answered := 3000, false; !answered; ts += 40 {
		feed(t, f.publisher, ts, ts+40)
		select {
		case s := <-pong:
			answered = true
			if s != "there?" {
				t.Errorf("a pong that says %q", s)
			}
		case <-time.After(10 * time.Millisecond):
		}
		if ts > 600_000 {
			t.Fatal("no pong")
		}
	}
	if err := c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-closed:
		if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("closed with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the Close is not answered")
	}
	for end := time.Now().Add(5 * time.Second); f.handler.Viewers() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still counted")
		}
	}
}

// Who may open a WebSocket is who may read what CORS allows.
func TestWebSocketOrigin(t *testing.T) {
	f := start(t, 3)
	host := strings.TrimPrefix(f.server.URL, "http://")
	for _, test := range []struct {
		cors, origin string
		ok           bool
	}{
		{"*", "https://any.example", true},
		{"*", "", true},
		{"https://site.example", "https://site.example", true},
		{"https://site.example", "https://other.example", false},
		{"https://site.example", "null", false},
		{"https://site.example", "", true},
		{"", "https://other.example", false},
		{"", "http://" + host, true},
	} {
		f.handler.config.CORSOrigin = test.cors
		header := http.Header{}
		if test.origin != "" {
			header.Set("Origin", test.origin)
		}
		c, res, err := f.dial(t, "/live/x.flv", header)
		if test.ok != (err == nil) {
			t.Errorf("CORS %q, origin %q: %v", test.cors, test.origin, err)
		}
		if err == nil {
			_ = c.Close()
		} else if res == nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("CORS %q, origin %q: %v", test.cors, test.origin, res)
		}
	}
	f.handler.config.CORSOrigin = "*"
	if _, res, err := f.dial(t, "/live/none.flv", nil); err == nil || res == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("a stream that is not there: %v, %v", res, err)
	}
}

// An endless transport stream begins with its tables, in whole packets whose
// counters run on.
func TestHTTPTS(t *testing.T) {
	f := start(t, 3)
	res, err := http.Get(f.server.URL + "/live/x.ts")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if typ, cache := res.Header.Get("Content-Type"), res.Header.Get("Cache-Control"); typ != "video/mp2t" || cache != "no-store" {
		t.Errorf("Content-Type %q, Cache-Control %q", typ, cache)
	}
	for f.handler.Viewers() == 0 {
		time.Sleep(time.Millisecond)
	}
	feed(t, f.publisher, 3000, 9000)
	f.registry.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(b)%188 != 0 || len(b) < 150_000 {
		t.Fatalf("%d bytes", len(b))
	}
	counters, tables := map[int]byte{}, 0
	for p := b; len(p) > 0; p = p[188:] {
		pid := int(p[1]&0x1f)<<8 | int(p[2])
		if p[0] != 0x47 || len(p) == len(b) && pid != 0 {
			t.Fatalf("%d bytes from the end: % x", len(p), p[:4])
		}
		if pid == 0 {
			tables++
		}
		if p[3]&0x10 == 0 {
			continue
		}
		if last, seen := counters[pid]; seen && p[3]&15 != (last+1)&15 {
			t.Errorf("PID %#x counter %d behind %d", pid, p[3]&15, last)
		}
		counters[pid] = p[3] & 15
	}
	if tables != 4 { // key frames at 2, 4, 6, 8 s
		t.Errorf("%d PATs", tables)
	}
	if res, _ := f.do(t, "HEAD", "/live/x.ts"); res.StatusCode != 200 || res.Header.Get("Content-Type") != "video/mp2t" {
		t.Errorf("HEAD: %v", res)
	}
}

// What MPEG-TS does not carry is not there in it, and that is said.
func TestHTTPTSCodec(t *testing.T) {
	f := start(t, 3)
	p, err := f.registry.Publish(remux.Name{App: "live", Stream: "flac"}, remux.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	info := []byte{0x90, 'f', 'L', 'a', 'C', 'f', 'L', 'a', 'C', 0x80, 0, 0, 34, 0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x0b, 0xb8, 0x02, 0xf0}
	message(t, p, flv.TypeAudio, 0, append(info, make([]byte, 9+4+16-5)...))
	for ts := 0; ts < 3000; ts += 85 {
		message(t, p, flv.TypeAudio, uint32(ts), append([]byte{0x91, 'f', 'L', 'a', 'C', 0xff, 0xf8, 0xc9, 0x18}, make([]byte, 100)...))
	}
	res, body := f.do(t, "GET", "/live/flac.ts")
	if res.StatusCode != 404 || !bytes.Contains(body, []byte("FLAC")) {
		t.Errorf("%d: %s", res.StatusCode, body)
	}
}

// Viewers who never read hold on to what the others have, and are gone soon.
func TestDeadViewers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes as long as their patience")
	}
	const dead = 500
	f := start(t, 3)
	for range dead {
		conn := f.connect(t, "HTTP/1.1")
		t.Cleanup(func() { _ = conn.Close() })
	}
	for f.handler.Viewers() < dead {
		time.Sleep(time.Millisecond)
	}
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	for ts := 3000; f.handler.Viewers() > 0; ts += 40 { // 8 Mbit/s
		if time.Since(began) > 25*time.Second {
			t.Fatalf("%d are still there", f.handler.Viewers())
		}
		large(t, f.publisher, ts, ts+40)
		if ts == 3000+40*200 { // 8 s: nobody has lost patience yet
			runtime.GC()
			runtime.ReadMemStats(&during)
		}
		time.Sleep(40 * time.Millisecond)
	}
	if more := int64(during.HeapAlloc) - int64(before.HeapAlloc); during.HeapAlloc > 0 && more > 64<<20 {
		t.Errorf("%d viewers who do not read hold %d MB", dead, more>>20)
	}
}
