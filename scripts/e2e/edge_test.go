//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

const (
	edgePlayers  = 200              // of each kind
	edgeDuration = 14 * time.Second // how long they play
)

// tally counts requests by what they are for.
type tally struct{ playlists, media atomic.Int64 }

func (c *tally) add(path string) {
	if strings.HasSuffix(path, ".m3u8") {
		c.playlists.Add(1)
	} else {
		c.media.Add(1)
	}
}

// TestEdges plays through each edge that `headwater edge` has a configuration for:
// what many viewers ask for is fetched from the origin once.
func TestEdges(t *testing.T) {
	t.Parallel()
	t.Run("nginx", func(t *testing.T) {
		testEdge(t, "nginx", func(t *testing.T, origin string) string { return startNginx(t, origin) })
	})
	t.Run("varnish", func(t *testing.T) { testEdge(t, "varnish", startVarnish) })
}

func testEdge(t *testing.T, kind string, start func(t *testing.T, origin string) (edge string)) {
	program := map[string]string{"nginx": "nginx", "varnish": "varnishd"}[kind]
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed", program)
	}
	src := sourceNamed(t, "bframes")
	s := startServer(t)
	src.publish(t, s.publishURL("x"), "-stream_loop", "4")
	waitPlaylist(t, s.url("/live/x/fmp4/index.m3u8"))

	atOrigin := &tally{}
	edge := start(t, countingProxy(t, s.HTTP, atOrigin))
	base := "http://" + edge + "/live/x"
	waitPlaylist(t, base+"/fmp4/index.m3u8")

	asked := &tally{}
	failures := &rig.Log{}
	var players sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), edgeDuration)
	defer cancel()
	transport := &http.Transport{MaxIdleConnsPerHost: 2 * edgePlayers}
	defer transport.CloseIdleConnections()
	for i := range 2 * edgePlayers {
		p := &edgePlayer{client: &http.Client{Transport: transport}, base: base, asked: asked, query: fmt.Sprintf("session=%d", i)}
		play := p.plain
		if i%2 == 1 {
			play = p.lowLatency
		}
		players.Go(func() {
			if err := play(ctx); err != nil && ctx.Err() == nil {
				_, _ = fmt.Fprintf(failures, "player %d: %v\n", i, err)
			}
		})
	}
	players.Wait()
	if failures.String() != "" {
		t.Errorf("players failed:\n%s", failures.Tail(2000))
	}
	media := 1 - float64(atOrigin.media.Load())/float64(asked.media.Load())
	all := 1 - float64(atOrigin.media.Load()+atOrigin.playlists.Load())/float64(asked.media.Load()+asked.playlists.Load())
	t.Logf("%s: %d media requests, %.2f %% answered by the edge; %d requests in all, %.2f %%",
		kind, asked.media.Load(), 100*media, asked.media.Load()+asked.playlists.Load(), 100*all)
	if media < 0.99 || all < 0.95 {
		t.Errorf("the origin saw %d of %d media requests and %d of %d playlists", atOrigin.media.Load(), asked.media.Load(), atOrigin.playlists.Load(), asked.playlists.Load())
	}
	checkEdgeKeepsNoErrors(t, base)
	checkEdgeForgetsMissing(t, src, s, strings.TrimSuffix(base, "/x"))
}

// checkEdgeForgetsMissing: a stream that all ask for before it is there is there
// through the edge a second after it is at the origin.
func checkEdgeForgetsMissing(t *testing.T, src *source, s *server, base string) {
	t.Helper()
	const path = "/late/ts/index.m3u8"
	status := func(url string) int { return ask(t, http.MethodGet, url).status }
	if got := status(base + path); got != http.StatusNotFound {
		t.Errorf("a stream that is not there: %d through the edge", got)
	}
	src.publish(t, s.publishURL("late"), "-t", "8")
	end := time.Now().Add(20 * time.Second)
	for status(s.url("/live"+path)) != http.StatusOK {
		_ = status(base + path) // others do not stop to ask
		if time.Now().After(end) {
			t.Fatal("the stream does not begin")
		}
		time.Sleep(20 * time.Millisecond)
	}
	for since := time.Now(); status(base+path) != http.StatusOK; time.Sleep(20 * time.Millisecond) {
		if held := time.Since(since); held > time.Second+busy/4 {
			t.Fatalf("a 404 was held for %v", held)
		}
	}
}

// TestEdgeFailover: of two origins that one encoder publishes to, one stops to hear of
// it. It says so with 503, and the edge goes to the other: viewers see a stream that goes on.
func TestEdgeFailover(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("nginx is not installed")
	}
	src := sourceNamed(t, "bframes")
	admins := freePorts(t, 2)
	var servers []*server
	var encoders []*push
	for i := range 2 {
		s := startServerIn(t, t.TempDir(), []string{"HEADWATER_TWIN_URL=http://" + admins[1-i], "HEADWATER_HLS_STALE=3s"}, "--admin", admins[i])
		servers = append(servers, s)
		encoders = append(encoders, src.publish(t, s.publishURL("x"), "-stream_loop", "3"))
	}
	edge := startNginx(t, servers[0].HTTP, servers[1].HTTP)
	path := "/live/x/ts/index.m3u8"
	for _, s := range servers {
		waitPlaylist(t, s.url(path))
	}
	viewer := &edgePlayer{client: &http.Client{}, base: "http://" + edge + "/live/x", asked: &tally{}}
	if err := encoders[0].cmd.Process.Signal(syscall.SIGSTOP); err != nil { // connected, and silent
		t.Fatal(err)
	}
	stale := false
	for end := time.Now().Add(9 * time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		text, err := viewer.get(t.Context(), "/ts/index.m3u8", "")
		if err != nil {
			t.Fatal(err)
		}
		if stale = stale || ask(t, http.MethodGet, servers[0].url(path)).status == http.StatusServiceUnavailable; stale {
			viewer.newest = time.Time{} // the other origin need not have been as far
			if err := viewer.fresh(text, 2*time.Second); err != nil {
				t.Error(err)
			}
		}
	}
	if !stale {
		t.Error("the origin whose publisher is silent does not say so")
	}
}

// checkEdgeKeepsNoErrors: what is not there now may be there in a second, and a
// malformed question must not answer another one.
func checkEdgeKeepsNoErrors(t *testing.T, base string) {
	t.Helper()
	status := func(url string) int {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res.StatusCode
	}
	if got := status(strings.TrimSuffix(base, "/x") + "/nobody.m3u8"); got != http.StatusNotFound {
		t.Errorf("a stream that is not there: %d through the edge", got)
	}
	if got := status(base + "/fmp4/index.m3u8?_HLS_msn=1&_HLS_msn=x"); got != http.StatusOK && got != http.StatusBadRequest {
		t.Errorf("a malformed question: %d", got)
	}
	if got := status(base + "/fmp4/index.m3u8?_HLS_msn=1"); got != http.StatusOK {
		t.Errorf("the question next to a malformed one: %d", got)
	}
}

// countingProxy stands between an edge and the origin.
func countingProxy(t *testing.T, origin string, count *tally) string {
	t.Helper()
	target := &url.URL{Scheme: "http", Host: origin}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0), // players that leave in the middle
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.add(r.URL.Path)
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

// edgeConfig is what the command prints.
func edgeConfig(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(serverBinary, append([]string{"edge"}, args...)...).Output()
	if err != nil {
		t.Fatalf("headwater edge %v: %v", args, err)
	}
	return out
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startNginx runs nginx with what the command prints, and a line for each further origin.
func startNginx(t *testing.T, origin string, more ...string) string {
	dir, edge := t.TempDir(), freePort(t)
	site := edgeConfig(t, "nginx", "--origin", "http://"+origin, "--listen", edge, "--cache", filepath.Join(dir, "cache"))
	for _, another := range more {
		line := fmt.Sprintf("server %s max_fails=0; server %s max_fails=0;", origin, another)
		site = bytes.Replace(site, []byte("server "+origin+";"), []byte(line), 1)
	}
	main := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  include %[1]s/headwater.conf;
}
`, dir)
	writeFile(t, filepath.Join(dir, "headwater.conf"), site)
	writeFile(t, filepath.Join(dir, "nginx.conf"), []byte(main))
	startEdge(t, edge, exec.Command("nginx", "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", filepath.Join(dir, "nginx.conf")))
	return edge
}

func startVarnish(t *testing.T, origin string) string {
	dir, err := os.MkdirTemp("", "headwater-varnish-") // varnishd reads it as another user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	edge := freePort(t)
	vcl := filepath.Join(dir, "headwater.vcl")
	writeFile(t, vcl, edgeConfig(t, "varnish", "--origin", "http://"+origin))
	startEdge(t, edge, exec.Command("varnishd", "-F", "-n", filepath.Join(dir, "work"), "-a", edge, "-f", vcl,
		"-s", "malloc,256m", "-p", "thread_pools=1", "-p", "thread_pool_min=500", "-p", "thread_pool_max=2000"))
	return edge
}

// startEdge runs a program until the test ends and waits until it listens.
func startEdge(t *testing.T, address string, cmd *exec.Cmd) {
	t.Helper()
	var said rig.Log
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
	})
	for range 200 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		select {
		case <-done:
			t.Fatalf("%s ended: %s", cmd.Path, said.Tail(4000))
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen: %s", cmd.Path, said.Tail(4000))
}

// waitPlaylist waits until a playlist is there.
func waitPlaylist(t *testing.T, url string) {
	t.Helper()
	for range 200 {
		if res, err := http.Get(url); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("no playlist at %s", url)
}

// edgePlayer fetches as a player does, and decodes nothing.
type edgePlayer struct {
	newest time.Time // segment of the playlists so far
	client *http.Client
	base   string
	query  string // what differs from viewer to viewer and must not matter
	asked  *tally
	have   map[string]bool
}

func (p *edgePlayer) get(ctx context.Context, path, query string) ([]byte, error) {
	if query = strings.Trim(query+"&"+p.query, "&"); query != "" {
		query = "?" + query
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path+query, nil)
	if err != nil {
		return nil, err
	}
	p.asked.add(path)
	res, err := p.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s%s: %s", path, query, res.Status)
	}
	if strings.HasSuffix(path, ".m3u8") {
		return io.ReadAll(res.Body)
	}
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && n != res.ContentLength && res.ContentLength >= 0 {
		err = fmt.Errorf("%s: %d bytes of %d", path, n, res.ContentLength)
	}
	return nil, err
}

// fetch gets what has not been fetched yet.
func (p *edgePlayer) fetch(ctx context.Context, path string) error {
	if p.have == nil {
		p.have = map[string]bool{}
	}
	if p.have[path] {
		return nil
	}
	p.have[path] = true
	_, err := p.get(ctx, path, "")
	return err
}

// plain reloads the MPEG-TS playlist each target duration.
func (p *edgePlayer) plain(ctx context.Context) error {
	reload := time.NewTicker(2 * time.Second)
	defer reload.Stop()
	for {
		text, err := p.get(ctx, "/ts/index.m3u8", "")
		if err != nil {
			return err
		}
		if err := p.fresh(text, 2*time.Second); err != nil { // half a target duration, for the origin's life, and as much again
			return err
		}
		var segments []string
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				segments = append(segments, line)
			}
		}
		for _, s := range segments[max(0, len(segments)-3):] {
			if err := p.fetch(ctx, "/ts/"+s); err != nil {
				return err
			}
		}
		select {
		case <-reload.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lowLatency reloads with blocking requests and fetches each part, the hinted one
// ahead of its time.
func (p *edgePlayer) lowLatency(ctx context.Context) error {
	text, err := p.get(ctx, "/fmp4/index.m3u8", "")
	for err == nil {
		if err := p.fresh(text, time.Second); err != nil {
			return err
		}
		next, parts, hint := liveEdge(text)
		for _, part := range parts[max(0, len(parts)-3):] {
			if err := p.fetch(ctx, "/fmp4/"+part); err != nil {
				return err
			}
		}
		hinted := make(chan error, 1)
		go func() { hinted <- p.fetchHint(ctx, hint) }()
		text, err = p.get(ctx, "/fmp4/index.m3u8", next)
		if e := <-hinted; err == nil {
			err = e
		}
		if p.have == nil {
			p.have = map[string]bool{}
		}
		p.have["/fmp4/"+hint] = true
	}
	return err
}

// busy is what a machine with 400 players on it may be late.
const busy = 2 * time.Second

var edgeTime = regexp.MustCompile(`#EXT-X-PROGRAM-DATE-TIME:(\S+)`)

// fresh says whether a playlist is as new as it may be: no older than the one before,
// and its newest segment did not begin longer ago than that takes to close, to be cached and to be late.
func (p *edgePlayer) fresh(text []byte, cached time.Duration) error {
	all := edgeTime.FindAllSubmatch(text, -1)
	if len(all) == 0 {
		return errors.New("a playlist without times")
	}
	begun, err := time.Parse(time.RFC3339, string(all[len(all)-1][1]))
	if err != nil {
		return err
	}
	const target = 2 * time.Second
	if age := time.Since(begun); age > 2*target+cached+busy {
		return fmt.Errorf("a stale playlist: its newest segment began %v ago", age)
	}
	if begun.Before(p.newest) {
		return fmt.Errorf("an old playlist: its newest segment began at %v, and that before at %v", begun, p.newest)
	}
	p.newest = begun
	return nil
}

func (p *edgePlayer) fetchHint(ctx context.Context, hint string) error {
	if hint == "" {
		return nil
	}
	_, err := p.get(ctx, "/fmp4/"+hint, "")
	return err
}

// liveEdge reads what comes next out of a low-latency playlist.
func liveEdge(text []byte) (query string, parts []string, hint string) {
	sequence, segments, open := 0, 0, 0
	for _, line := range bytes.Split(text, []byte("\n")) {
		l := string(line)
		uri := ""
		if _, rest, ok := strings.Cut(l, `URI="`); ok {
			uri, _, _ = strings.Cut(rest, `"`)
		}
		switch {
		case strings.HasPrefix(l, "#EXT-X-MEDIA-SEQUENCE:"):
			sequence, _ = strconv.Atoi(strings.TrimPrefix(l, "#EXT-X-MEDIA-SEQUENCE:"))
		case strings.HasPrefix(l, "#EXTINF"):
			segments++
			open = 0
		case strings.HasPrefix(l, "#EXT-X-PART:"):
			open++
			parts = append(parts, uri)
		case strings.HasPrefix(l, "#EXT-X-PRELOAD-HINT:"):
			hint = uri
		}
	}
	return fmt.Sprintf("_HLS_msn=%d&_HLS_part=%d", sequence+segments, open), parts, hint
}
