package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type diagnosis struct {
	Result   string
	Findings []struct{ Code, Severity, Text, Advice string }
}

func diagnose(t *testing.T, code int, args ...string) (d diagnosis) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := command(t, nil, append([]string{"doctor", "--json"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d\n%s%s", got, code, stdout.String(), stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), &d); err != nil {
		t.Fatalf("%v: %s", err, stdout.String())
	}
	return d
}

func (d diagnosis) find(code string) string {
	for _, f := range d.Findings {
		if f.Code == code {
			return f.Severity + " " + f.Text + " " + f.Advice
		}
	}
	return ""
}

// TestDoctor examines this machine, beside a server that runs on it.
func TestDoctor(t *testing.T) {
	data := t.TempDir()
	p := startServe(t, nil, "--data", data)
	free := []string{"--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", data}
	d := diagnose(t, 0, free...)
	if d.Result == "problem" || !strings.HasPrefix(d.find("config.valid"), "ok ") || !strings.HasPrefix(d.find("data.writable"), "ok ") {
		t.Errorf("%+v", d)
	}
	// The port of a process that is not called headwater, but as the test is.
	d = diagnose(t, 1, append(free, "--http", p.addrs["http"])...)
	if got := d.find("port.taken"); !strings.Contains(got, "http.listen: "+p.addrs["http"]+" is taken by "+filepath.Base(os.Args[0])[:10]) {
		t.Errorf("%q", got)
	}
	for _, name := range left(t, data) {
		if strings.HasPrefix(name, ".doctor") {
			t.Errorf("%s was left behind", name)
		}
	}
}

func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestDoctorConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "headwater.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hls:\n  windoww: 12s\n")
	if got := diagnose(t, 1, "--config", file, "--data", dir).find("config.invalid"); !strings.Contains(got, file+":2: hls.windoww: no such key") {
		t.Errorf("%q", got)
	}
	write("rtmp: {listen: '127.0.0.1:0', max_connections: 900000}\nhttp: {listen: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0'}\n" +
		"https: {listen: '127.0.0.1:0', certificate: none.pem, key: none.key}\npublish: {key: hush}\ncallbacks: {on_publish: 'http://nowhere.invalid/hush'}\n")
	d := diagnose(t, 1, "--config", file, "--data", dir)
	for code, want := range map[string]string{
		"descriptors.short": "problem rtmp.max_connections (900000)", "certificate.unusable": "problem https: ",
		"publish.weak_key": "warning publish.key", "host.unknown": "problem callbacks.on_publish: the name nowhere.invalid",
	} {
		if !strings.HasPrefix(d.find(code), want) {
			t.Errorf("%s: %q", code, d.find(code))
		}
	}
	if slices.ContainsFunc(d.Findings, func(f struct{ Code, Severity, Text, Advice string }) bool {
		return strings.Contains(f.Text+f.Advice, "hush")
	}) {
		t.Errorf("a secret is shown: %+v", d)
	}
}

func TestTryListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := tryListen(t.Context(), l.Addr().String()); err == nil {
		t.Error("a port that is taken is free")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tryListen(t.Context(), l.Addr().String()); err != nil {
		t.Error(err)
	}
}
