package ingest

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"headwater/scripts/lib/rig"
)

// secure serves RTMPS beside what a harness serves, and returns the address.
func (h *harness) secure(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- h.ServeTLS(l, selfSigned(t)) }()
	t.Cleanup(func() {
		_ = l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ServeTLS returned %v", err)
		}
	})
	return l.Addr().String()
}

// selfSigned returns a server's configuration with a certificate of its own.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(rig.Certificate(t, "localhost"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

func TestTLS(t *testing.T) {
	h := newHarness(t, nil)
	conn, err := tls.Dial("tcp", h.secure(t), &tls.Config{InsecureSkipVerify: true}) // the test's own certificate
	if err != nil {
		t.Fatal(err)
	}
	e := h.greet(t, conn)
	if code, text := e.ask("live", "", "x"); code != "NetStream.Publish.Start" {
		t.Fatalf("answer %s: %s", code, text)
	}
	e.frames(3)
	h.stream(t).count(t, 3)
	h.encoder(t, "live", "plain")
	if len(h.logged("publish started", "name=live/x", "tls=true")) != 1 || len(h.logged("publish started", "name=live/plain", "tls=false")) != 1 {
		t.Error("the log does not tell them apart")
	}
	_ = conn.Close()
}

func TestFFmpegPublishesOverTLS(t *testing.T) {
	h := newHarness(t, nil)
	out := run(t, "ffmpeg", "-hide_banner", "-loglevel", "info",
		"-f", "lavfi", "-i", "testsrc2=s=640x360:r=25", "-f", "lavfi", "-i", "sine=r=44100",
		"-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1500k", "-g", "25",
		"-c:a", "aac", "-f", "flv", "-tls_verify", "0", "rtmps://"+h.secure(t)+"/live/ffmpeg")
	tags := h.stream(t).end(t)
	if text := <-out; strings.Contains(text, "rror") {
		t.Errorf("ffmpeg says:\n%s", text)
	}
	checkMedia(t, tags)
	if len(h.logged("publish started", "tls=true")) != 1 {
		t.Error("it came without TLS")
	}
}

// TestNotTLS sends other things to the TLS port.
func TestNotTLS(t *testing.T) {
	h := newHarness(t, nil)
	addr := h.secure(t)
	for _, text := range []string{"\x03" + strings.Repeat("\x00", 1536), "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05hello"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(text))
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		for err = nil; err == nil; {
			_, err = c.Read(make([]byte, 100))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%.5q: stays open", text)
		}
		_ = c.Close()
	}
	h.idle(t)
	if st := h.Stats(); st.Ended[Protocol] != 3 {
		t.Errorf("stats %+v", st)
	}
}

// TestTLSHandshakeTime: a peer that says nothing, or stops in the middle, is gone
// after tlsTime, even if more would be allowed for the whole.
func TestTLSHandshakeTime(t *testing.T) {
	config := selfSigned(t)
	for _, text := range []string{"", "\x16\x03\x01\x02\x00\x01"} {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			c := &tlsConn{Conn: tls.Server(server, config)}
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			began := time.Now()
			go func() { _, _ = client.Write([]byte(text)) }()
			_, err := c.Read(make([]byte, 1))
			if d := time.Since(began); d != tlsTime {
				t.Errorf("it takes %v", d)
			}
			if reasonOf(err) != Timeout {
				t.Errorf("it ends with %v", err)
			}
			_ = client.Close()
			_ = c.Close()
		})
	}
}

// TestPeersAreWatched: the options are set on the socket below whatever wraps it.
func TestPeersAreWatched(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	type wrapped struct{ *net.TCPConn }
	tcp := server.(*net.TCPConn)
	watchPeer(&tlsConn{Conn: tls.Server(wrapped{tcp}, &tls.Config{})})
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		for _, o := range []struct{ level, name, want int }{
			{syscall.IPPROTO_TCP, tcpUserTimeout, 20_000},
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 15},
		} {
			if got, err := syscall.GetsockoptInt(int(fd), o.level, o.name); err != nil || got != o.want {
				t.Errorf("option %d is %d, %v; want %d", o.name, got, err, o.want)
			}
		}
	})
	a, b := net.Pipe()
	watchPeer(a) // nothing to set
	_ = a.Close()
	_ = b.Close()
}
