package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// TestReloadDropsNobody: a hangup changes keys, limits, certificates, the log's level
// and whom to believe, while one publishes and one watches; a bad file changes
// nothing.
func TestReloadDropsNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, log := filepath.Join(dir, "headwater.yaml"), filepath.Join(dir, "access.log")
	first, firstKey := rig.CertificateFiles(t, t.TempDir(), "first")
	second, secondKey := rig.CertificateFiles(t, t.TempDir(), "second")
	write := func(key, cert, certKey, rest string) {
		t.Helper()
		text := fmt.Sprintf("publish:\n  key: %s\nhttps:\n  listen: \"127.0.0.1:0\"\n  certificate: %s\n  key: %s\n%s", key, cert, certKey, rest)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first-key", first, firstKey, "")
	p := startServe(t, []string{"HEADWATER_HTTP_ACCESS_LOG=" + log}, "--data", dir, "--config", file)
	out := publish(t, "rtmp://"+p.addrs["rtmp"]+"/live/x?key=first-key")
	var body io.ReadCloser
	eventually(t, "a viewer", func() bool {
		res, err := http.Get("http://" + p.addrs["http"] + "/live/x.flv")
		if err != nil {
			t.Fatal(err)
		}
		body = res.Body
		if res.StatusCode != http.StatusOK {
			_ = body.Close()
		}
		return res.StatusCode == http.StatusOK
	})
	defer func() { _ = body.Close() }()
	hangup := func(says string) {
		t.Helper()
		n := strings.Count(p.log.String(), says)
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, says, func() bool { return strings.Count(p.log.String(), says) > n })
	}

	write("second-key", second, secondKey, "hls:\n  windoww: 1s\n")
	hangup("configuration not reloaded, nothing has changed")
	if !strings.Contains(p.log.String(), "headwater.yaml:8: hls.windoww") {
		t.Errorf("the log does not say why:\n%s", p.log)
	}
	write("second-key", second+"x", secondKey, "")
	hangup("configuration not reloaded, nothing has changed")
	if name := shownCertificate(t, p.addrs["https"]); name != "first" {
		t.Errorf("a bad configuration shows the certificate %s", name)
	}

	write("second-key", second, secondKey, "log:\n  level: debug\nhls:\n  window: 20s\nhttp:\n  trusted_proxies: [127.0.0.1]\n")
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	hangup("configuration reloaded")
	for _, want := range []string{`"restart_needed":["hls.window"]`, `"publish.key"`, `"log.level"`} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if name := shownCertificate(t, p.addrs["https"]); name != "second" {
		t.Errorf("the certificate is %s", name)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.addrs["http"]+"/live/none.m3u8", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.7")
	if res, err := http.DefaultClient.Do(req); err != nil {
		t.Error(err)
	} else {
		_ = res.Body.Close()
	}
	eventually(t, "a line of the client's in the new file", func() bool { b, _ := os.ReadFile(log); return strings.Contains(string(b), `"remote":"192.0.2.7:0"`) })

	if text := <-publish(t, "rtmp://"+p.addrs["rtmp"]+"/live/y?key=first-key", "-t", "1"); !strings.Contains(text, "the publish key is wrong") {
		t.Errorf("with the old key: %s", text)
	}
	if text := <-publish(t, "rtmp://"+p.addrs["rtmp"]+"/live/y?key=second-key", "-t", "1"); text != "" {
		t.Errorf("with the new key: %s", text)
	}
	if text := <-out; text != "" {
		t.Errorf("the first publisher says: %s", text)
	}
	if n, err := io.ReadFull(body, make([]byte, 50_000)); err != nil {
		t.Errorf("the viewer got %d bytes: %v", n, err)
	}
	if shown := p.log.String(); strings.Contains(shown, "first-key") || strings.Contains(shown, "second-key") {
		t.Error("the log shows a key")
	}
}

// TestInheritedListeners: what a service manager hands over is served, stays open when
// the process ends, and is served again by the next.
func TestInheritedListeners(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	var files []*os.File
	addrs := map[string]string{}
	for _, name := range []string{"rtmp", "http", "admin"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		addrs[name] = l.Addr().String()
		files = append(files, f)
		_ = l.Close()
		defer func() { _ = f.Close() }()
	}
	start := func(names string, count int) (*exec.Cmd, *rig.Log) {
		log := &rig.Log{}
		cmd := exec.CommandContext(t.Context(), shell, "-c", `LISTEN_PID=$$ exec "$0" "$@"`, os.Args[0], "serve", "--data", t.TempDir(), "--rtmp", "127.0.0.1:1")
		cmd.Env = []string{runAsCommand, "GORACE=atexit_sleep_ms=0", fmt.Sprint("LISTEN_FDS=", count), "LISTEN_FDNAMES=" + names}
		cmd.ExtraFiles, cmd.Stderr = files, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, log
	}
	ready := func() bool {
		client := http.Client{Timeout: time.Second}
		res, err := client.Get("http://" + addrs["admin"] + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	for round := range 2 {
		cmd, log := start("rtmp:http:admin", 3)
		eventually(t, "ready", ready)
		for name, addr := range addrs {
			what := fmt.Sprintf("round %d: %s at %s", round, name, addr)
			eventually(t, what, func() bool { return strings.Contains(log.String(), "addr="+addr+" proto="+name) })
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, log)
		}
		conn, err := net.Dial("tcp", addrs["http"]) // it waits for the next process
		if err != nil {
			t.Errorf("between two processes: %v", err)
		} else {
			_ = conn.Close()
		}
	}
	for names, want := range map[string]string{"rtmp:http:other": "FileDescriptorName", "rtmp:http:https": "https.listen is not set", "rtmp:rtmp:http": "two of that name"} {
		cmd, log := start(names, 3)
		if err := cmd.Wait(); err == nil || !strings.Contains(log.String(), want) {
			t.Errorf("%s: %v\n%s", names, err, log)
		}
	}
}

// shownCertificate returns the name in the certificate that a listener shows.
func shownCertificate(t *testing.T, addr string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
}

// TestUnlimitedFrom: an address that connects too often is turned away, counted, until a
// reload names it as a cache's.
func TestUnlimitedFrom(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "headwater.yaml")
	write := func(more string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("proxy_protocol: {from: [127.0.0.1]}\nhttp:\n  max_rate_per_address: 2\n"+more), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	p := startServe(t, nil, "--data", t.TempDir(), "--config", file)
	answered := func() (n int) {
		for range 20 {
			conn, err := net.Dial("tcp", p.addrs["http"])
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\nGET /live/none.m3u8 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			if b, _ := io.ReadAll(conn); strings.HasPrefix(string(b), "HTTP/1.1 404") {
				n++
			}
			_ = conn.Close()
		}
		return n
	}
	start := time.Now()
	n := answered()
	if most := 6 + int(2*time.Since(start).Seconds()); n < 5 || n > most {
		t.Errorf("%d of 20 are answered, want 5 and at most %d", n, most)
	}
	if got := p.metric(t, `headwater_http_connections_refused_total{reason="max_rate_per_address"}`); got != float64(20-n) {
		t.Errorf("%v are counted, want %d", got, 20-n)
	}
	write("  unlimited_from: [192.0.2.0/24]\n")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "reloaded", func() bool { return strings.Contains(p.log.String(), "http.unlimited_from") })
	if n := answered(); n != 20 {
		t.Errorf("%d of 20 are answered of who has no limit", n)
	}
}
