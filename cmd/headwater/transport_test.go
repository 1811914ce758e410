package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// publish pushes a few seconds in real time and returns what ffmpeg said.
func publish(t *testing.T, url string, args ...string) <-chan string {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	all := append([]string{"-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25",
		"-t", "5", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-flvflags", "no_duration_filesize", "-f", "flv"}, args...)
	cmd := exec.CommandContext(ctx, path, append(all, url)...)
	out := make(chan string, 1)
	go func() {
		b, err := cmd.CombinedOutput()
		if err != nil {
			b = append(b, err.Error()...)
		}
		out <- string(b)
	}()
	return out
}

// insecure is a client that takes a test's own certificate.
func insecure(h2 bool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2, DisableKeepAlives: true,
	}}
}

// readFLV asks for an FLV stream and returns its first bytes.
func readFLV(t *testing.T, client *http.Client, url string) (header http.Header, proto string, body []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == http.StatusOK {
			body = make([]byte, 20_000)
			_, err = io.ReadFull(res.Body, body)
			_ = res.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			return res.Header, res.Proto, body
		}
		_ = res.Body.Close()
		time.Sleep(50 * time.Millisecond)
	}
}

// TestTLSListeners publishes over RTMPS and plays over HTTPS, and renews the
// certificate meanwhile.
func TestTLSListeners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate, key := rig.CertificateFiles(t, dir, "first")
	p := startServe(t, []string{
		"HEADWATER_RTMPS_CERTIFICATE=" + certificate, "HEADWATER_RTMPS_KEY=" + key,
		"HEADWATER_HTTPS_CERTIFICATE=" + certificate, "HEADWATER_HTTPS_KEY=" + key,
	}, "--data", dir, "--rtmps", "127.0.0.1:0", "--https", "127.0.0.1:0")
	out := publish(t, "rtmps://"+p.addrs["rtmps"]+"/live/x", "-tls_verify", "0")
	for _, c := range []struct {
		h2    bool
		proto string
	}{{true, "HTTP/2.0"}, {false, "HTTP/1.1"}} {
		_, proto, body := readFLV(t, insecure(c.h2), "https://"+p.addrs["https"]+"/live/x.flv")
		if proto != c.proto || !strings.HasPrefix(string(body), "FLV\x01") {
			t.Errorf("over %s: %.20q", proto, body)
		}
	}
	if _, _, body := readFLV(t, http.DefaultClient, "http://"+p.addrs["http"]+"/live/x.flv"); !strings.HasPrefix(string(body), "FLV\x01") {
		t.Errorf("without TLS: %.20q", body)
	}
	rig.CertificateFiles(t, dir, "second")
	for _, proto := range []string{"rtmps", "https"} {
		eventually(t, "a new certificate on "+proto, func() bool {
			conn, err := tls.Dial("tcp", p.addrs[proto], &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			return conn.ConnectionState().PeerCertificates[0].DNSNames[0] == "second"
		})
	}
	if text := <-out; text != "" {
		t.Errorf("ffmpeg says: %s", text)
	}
	if _, err := tls.Dial("tcp", p.addrs["https"], &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is taken")
	}
	if shown := p.stdout.String(); !strings.Contains(shown, "rtmps://HOST") || !strings.Contains(shown, "https://HOST") {
		t.Errorf("the banner does not know them:\n%s", shown)
	}
	if code := p.end(t, syscall.SIGTERM); code != exitOK || strings.Contains(p.log.String(), "TLS handshake error") {
		t.Errorf("exit code %d\n%s", code, p.log)
	}
}

// TestNoCertificate: a server that cannot do what it was told does not start.
func TestNoCertificate(t *testing.T) {
	out, err := command(t, []string{"HEADWATER_RTMPS_CERTIFICATE=/nowhere/cert.pem", "HEADWATER_RTMPS_KEY=/nowhere/key.pem"},
		"serve", "--rtmps", "127.0.0.1:0", "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "rtmps: load certificate: ") || !strings.Contains(string(out), "/nowhere/") {
		t.Errorf("%v: %s", err, out)
	}
}

// proxy passes connections on to addr, each with header in front. It returns where
// it listens.
func proxy(t *testing.T, addr, header string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	serve := func(client net.Conn) {
		defer func() { _ = client.Close() }()
		server, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer func() { _ = server.Close() }()
		if _, err := io.WriteString(server, header); err != nil {
			return
		}
		all.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
		_, _ = io.Copy(client, server)
	}
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(client) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return l.Addr().String()
}

// TestProxyProtocol: limits, log and authorization see the client's address, and
// an HTTP-FLV viewer behind a proxy is served as any other.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	const most = 5
	data := t.TempDir()
	p := startServe(t, []string{"HEADWATER_PROXY_PROTOCOL_FROM=127.0.0.1", fmt.Sprint("HEADWATER_HTTP_MAX_CONNECTIONS_PER_ADDRESS=", most)},
		"--data", data, "--log-level", "debug")
	key, err := os.ReadFile(filepath.Join(data, publishKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	const far, other = "PROXY TCP4 192.0.2.7 127.0.0.1 5555 1935\r\n", "PROXY TCP4 192.0.2.8 127.0.0.1 5555 1935\r\n"
	ingest := proxy(t, p.addrs["rtmp"], far)

	// From afar the key is needed, though the proxy is on this machine.
	if text := <-publish(t, "rtmp://"+ingest+"/live/x"); !strings.Contains(text, "a publish key is needed") {
		t.Errorf("ffmpeg says: %s", text)
	}
	out := publish(t, "rtmp://"+ingest+"/live/x?key="+strings.TrimSpace(string(key)))
	web := proxy(t, p.addrs["http"], far)
	if _, _, body := readFLV(t, insecure(false), "http://"+web+"/live/x.flv"); !strings.HasPrefix(string(body), "FLV\x01") {
		t.Errorf("got %.20q", body)
	}
	for _, want := range []string{`"msg":"publish started"`, `"remote":"192.0.2.7:5555"`, `"msg":"viewer left"`} {
		eventually(t, want, func() bool { return strings.Contains(p.log.String(), want) })
	}

	// What the clients of one proxy open is not counted together.
	for range most + 1 {
		held, err := net.Dial("tcp", web)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = held.Close() }()
	}
	eventually(t, "one too many refused", func() bool {
		log := p.log.String()
		return strings.Contains(log, `"reason":"max_connections_per_address"`) && strings.Contains(log, `"last":"192.0.2.7/32"`)
	})
	if res, err := http.Get("http://" + proxy(t, p.addrs["http"], other) + "/"); err != nil {
		t.Errorf("another client: %v", err)
	} else {
		_ = res.Body.Close()
	}
	// Without a header a proxy gets nothing.
	if res, err := http.Get("http://" + p.addrs["http"] + "/"); err == nil {
		_ = res.Body.Close()
		t.Errorf("no header, and the answer is %s", res.Status)
	}
	// The admin listener is nobody's business but the operator's.
	if status, _ := p.get(t, "admin", "/healthz"); status != http.StatusOK {
		t.Errorf("health: %d", status)
	}
	if text := <-out; text != "" {
		t.Errorf("ffmpeg says: %s", text)
	}
}

// TestUnlistedProxy: a header from anywhere else is no header.
func TestUnlistedProxy(t *testing.T) {
	p := startServe(t, []string{"HEADWATER_PROXY_PROTOCOL_FROM=192.0.2.0/24"}, "--data", t.TempDir())
	header := "PROXY TCP4 192.0.2.7 127.0.0.1 5555 1935\r\n"
	// The answer may come, and the connection go, before the request is out.
	if res, err := http.Get("http://" + proxy(t, p.addrs["http"], header) + "/"); err == nil {
		_ = res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("HTTP: %s", res.Status)
		}
	}
	c, err := net.Dial("tcp", p.addrs["rtmp"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, header+"\x03"+strings.Repeat("\x00", 1536)); err != nil {
		t.Fatal(err)
	}
	if !closedByPeer(t, c) {
		t.Error("RTMP: it stays open")
	}
}

// fanOut is what the fan-out of origin asks of a connection.
var _ syscall.Conn = (*limitedConn)(nil)
