package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// metricName matches a metric of a Prometheus expression.
var metricName = regexp.MustCompile(`\b(headwater|go|process)_[a-z0-9_]+\b`)

// checkMetrics holds the dashboard and the alert rules against a scrape: each name in
// them is there.
func checkMetrics(t *testing.T, scrape string) {
	t.Helper()
	used := map[string]string{}
	for _, e := range append(dashboardExpressions(t), alertExpressions(t)...) {
		for _, name := range metricName.FindAllString(e, -1) {
			used[name] = e
		}
	}
	if len(used) < 25 {
		t.Errorf("only %d metrics are used", len(used))
	}
	for name, e := range used {
		if !regexp.MustCompile(`(?m)^` + name + `[ {]`).MatchString(scrape) {
			t.Errorf("%s is not in a scrape; it is used in %s", name, e)
		}
	}
}

func dashboardExpressions(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../../configs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels     []struct{ Targets []struct{ Expr string } }
		Templating struct{ List []struct{ Query string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	for _, v := range d.Templating.List {
		all = append(all, v.Query)
	}
	return all
}

func alertExpressions(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../../configs/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Expr == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("a rule lacks something: %+v", r)
			}
			all = append(all, r.Expr)
		}
	}
	return all
}

// checkScrape looks at what a scrape says of one stream and of its viewers.
func checkScrape(t *testing.T, scrape string) {
	t.Helper()
	for _, want := range []string{
		`headwater_streams{state="live"} 1`, `headwater_stream_live{stream="live/x"} 1`, `headwater_viewers{protocol="hls"} 1`,
		`headwater_renders_total{kind="playlist"} 1`, `headwater_http_requests_total{code="2xx",kind="playlist"} 1`,
		`headwater_rtmp_sessions{kind="publisher"} 1`, `headwater_http_viewers_ended_total{reason="closed"} 1`, `headwater_ready 1`,
		`headwater_stream_key_frame_interval_seconds{of="last",stream="live/x"} 1`,
		`headwater_memory_full 0`, `headwater_proxy_connections_refused_total{listener="http"} 0`,
		`headwater_http_connections_refused_total{reason="max_connections"} 0`, `headwater_admin_connections_refused_total{reason="max_connections"} 0`,
	} {
		if !strings.Contains(scrape, "\n"+want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	for _, secret := range []string{"127.0.0.1", "studio", "hush"} {
		if strings.Contains(scrape, secret) {
			t.Errorf("the scrape shows %s", secret)
		}
	}
	if t.Failed() {
		t.Log(regexp.MustCompile(`(?m)^(#|go_|process_).*\n`).ReplaceAllString(scrape, ""))
	}
}

// TestRefusalsAreCounted: connections without a PROXY header, and those above a limit.
func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	p := startServe(t, []string{"HEADWATER_PROXY_PROTOCOL_FROM=127.0.0.1", "HEADWATER_HTTP_MAX_CONNECTIONS=1", "HEADWATER_LIMITS_MEMORY=1GiB"}, "--data", t.TempDir())
	say := func(text string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", p.addrs["http"])
		if err == nil {
			_, err = io.WriteString(c, text)
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if !closedByPeer(t, say("GET / HTTP/1.1\r\n\r\n")) {
		t.Error("a connection without a header stayed open")
	}
	const header = "PROXY TCP4 192.0.2.7 127.0.0.1 5555 8080\r\n"
	held := say(header)
	defer func() { _ = held.Close() }()
	scrape := func() string { _, text := p.get(t, "admin", "/metrics"); return text }
	eventually(t, "one connection", func() bool { return strings.Contains(scrape(), "\nheadwater_http_connections 1\n") })
	if !closedByPeer(t, say(header)) {
		t.Error("a second connection stayed open")
	}
	for _, want := range []string{
		`headwater_proxy_connections_refused_total{listener="http"} 1`, `headwater_http_connections_refused_total{reason="max_connections"} 1`,
		"headwater_memory_limit_bytes 1.073741824e+09",
	} {
		eventually(t, want, func() bool { return strings.Contains(scrape(), "\n"+want+"\n") })
	}
}
