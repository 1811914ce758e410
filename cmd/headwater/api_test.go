package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"headwater/origin/admin"
	"headwater/remux"
)

// contract holds requests and answers against the API's own description.
type contract struct {
	t          *testing.T
	p          *process
	validator  validator.Validator
	operations map[string]bool // METHOD path of the description; true: has been tried with success
	paths      []string
}

func newContract(t *testing.T, p *process) *contract {
	t.Helper()
	_, text := p.get(t, "admin", "/api/v1/openapi.json")
	doc, err := libopenapi.NewDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		for _, e := range problems {
			t.Errorf("the document: %s: %s %+v", e.Message, e.Reason, e.SchemaValidationErrors)
		}
	}
	c := &contract{t: t, p: p, validator: v, operations: map[string]bool{}}
	var d struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	for path, item := range d.Paths {
		c.paths = append(c.paths, path)
		for method := range item {
			if method != "parameters" {
				c.operations[strings.ToUpper(method)+" "+path] = false
			}
		}
	}
	return c
}

// of returns the path of the description that a request's is one of.
func (c *contract) of(path string) string {
	got := strings.Split(path, "/")
	for _, p := range c.paths {
		want := strings.Split(p, "/")
		fits := len(got) == len(want)
		for i := 0; fits && i < len(want); i++ {
			fits = want[i] == got[i] || strings.HasPrefix(want[i], "{")
		}
		if fits {
			return p
		}
	}
	return ""
}

// try sends a request, checks the answer's status and that it is as described, and
// returns its body.
func (c *contract) try(method, path, body string, status int, header ...string) []byte {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://"+c.p.addrs["admin"]+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body == "" {
		req.Body = http.NoBody
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode != status {
		c.t.Errorf("%s %s: %d, want %d: %s", method, path, res.StatusCode, status, text)
	}
	if status < 300 {
		c.operations[method+" "+c.of(path)] = true
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	if ok, problems := c.validator.ValidateHttpResponse(req, res); !ok {
		for _, e := range problems {
			c.t.Errorf("%s %s: %s: %s\n%s", method, path, e.Message, e.Reason, text)
			for _, s := range e.SchemaValidationErrors {
				c.t.Errorf("  %s at %s", s.Reason, s.Location)
			}
		}
	}
	return text
}

func decode[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// subscribe returns the names of the events as they come.
func (c *contract) subscribe() <-chan string {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.p.addrs["admin"]+"/api/v1/events", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { cancel(); _ = res.Body.Close() })
	if kind := res.Header.Get("Content-Type"); res.StatusCode != 200 || kind != "text/event-stream" {
		c.t.Fatalf("%d, %s", res.StatusCode, kind)
	}
	c.operations["GET /api/v1/events"] = true
	events := make(chan string, 100)
	go func() {
		defer close(events)
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				events <- name
			}
		}
	}()
	return events
}

// TestAPI tries every operation of a real server, with a stream of ffmpeg's and
// viewers of each kind, and holds each answer against the description.
func TestAPI(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	file := filepath.Join(data, "headwater.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("relay:\n  push: [{name: \"live/*\", url: \"rtmp://127.0.0.1:1/copy/{name}?key=hush\"}]\n")
	environ := []string{"HEADWATER_CALLBACKS_ON_PUBLISH_DONE=http://127.0.0.1:1/", "HEADWATER_TWIN_URL=http://127.0.0.1:1"}
	p := startServe(t, environ, "--data", data, "--config", file)
	c := newContract(t, p)
	events := c.subscribe()
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			select {
			case got := <-events:
				if got != w {
					t.Errorf("event %s, want %s", got, w)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("no event %s", w)
			}
		}
	}
	if s := decode[map[string]any](t, c.try("GET", "/api/v1/server", "", 200)); s["ready"] != true || s["listeners"].(map[string]any)["rtmp"] != p.addrs["rtmp"] {
		t.Errorf("server %v", s)
	}
	for path, member := range map[string]string{"streams": "streams", "publishers": "publishers", "viewers": "viewers", "relays": "relays", "keys": "keys"} {
		if got := string(c.try("GET", "/api/v1/"+path, "", 200)); got != "{\""+member+"\":[]}\n" {
			t.Errorf("of nothing: %s", got)
		}
	}
	c.try("GET", "/api/v1/openapi.json", "", 200)
	for _, of := range []string{"", "/history", "/checkup"} {
		c.try("GET", "/api/v1/streams/live/x"+of, "", 404)
	}
	c.try("DELETE", "/api/v1/streams/live/x", "", 404)

	key := c.testKeys()
	out := publishBoth(t, "rtmp://"+p.addrs["rtmp"]+"/live/x?key="+key.Secret)
	expect("stream_begun", "publisher_came")
	c.testStream(key.ID)
	c.testCheckup()
	c.testViewers()
	var scrape string
	eventually(t, "the playlist's answer is counted", func() bool {
		_, scrape = p.get(t, "admin", "/metrics")
		return strings.Contains(scrape, `{code="2xx",kind="playlist"} 1`)
	})
	checkMetrics(t, scrape)
	checkScrape(t, scrape)
	if got := decode[remux.TwinState](t, c.try("GET", "/api/v1/streams/live/x/twin", "", 200)); got.Phase != remux.TwinLive || len(got.Joints) == 0 {
		t.Errorf("for a twin: %+v", got)
	}
	c.try("GET", "/api/v1/streams/live/y/twin", "", 404)
	if got := decode[struct{ Relays []map[string]any }](t, c.try("GET", "/api/v1/relays", "", 200)).Relays; len(got) != 1 || got[0]["kind"] != "push" || strings.Contains(fmt.Sprint(got), "hush") {
		t.Errorf("relays %v", got)
	}

	c.try("DELETE", "/api/v1/streams/live/x", "", 403, "Sec-Fetch-Site", "cross-site")
	c.try("DELETE", "/api/v1/streams/live/x", "", 204)
	expect("publisher_left")
	<-out // ffmpeg says in its own words that it was thrown out
	c.try("DELETE", "/api/v1/streams/live/x", "", 409)
	if s := decode[map[string]any](t, c.try("GET", "/api/v1/streams/live/x", "", 200)); s["state"] != "reconnecting" || s["publisher"] != nil {
		t.Errorf("after the kick: %v", s)
	}

	write("log:\n  level: nonsense\n")
	if got := string(c.try("POST", "/api/v1/reload", "", 422)); !strings.Contains(got, "headwater.yaml:2") || !strings.Contains(got, "log.level") {
		t.Errorf("a bad file: %s", got)
	}
	write("log:\n  level: debug\ndata: elsewhere\n")
	if got := string(c.try("POST", "/api/v1/reload", "", 200)); got != "{\"changed\":[\"relay.push\",\"log.level\"],\"restart\":[]}\n" { // --data wins over the file
		t.Errorf("reloaded: %s", got)
	}
	c.testHistory()
	for op, tried := range c.operations {
		if !tried {
			t.Errorf("%s has not been tried", op)
		}
	}
}

// publishBoth pushes picture and sound in real time until the server ends it.
func publishBoth(t *testing.T, url string) <-chan error {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-f", "lavfi", "-i", "sine",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-c:a", "aac", "-f", "flv", url)
	out := make(chan error, 1)
	go func() { out <- cmd.Run() }()
	return out
}

type apiKey struct{ ID, Name, Secret string }

func (c *contract) testKeys() apiKey {
	c.t.Helper()
	for _, bad := range []struct {
		body   string
		status int
		header []string
	}{
		{`{"name":"no slash"}`, 400, nil}, {`{"nam":"live/*"}`, 400, nil}, {`{`, 400, nil}, {`{} {}`, 400, nil},
		{`{}`, 415, []string{"Content-Type", "text/plain"}}, {`{}`, 415, []string{"Content-Encoding", "gzip"}},
		{`{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, nil}, {`{}`, 403, []string{"Origin", "https://evil.example"}},
	} {
		c.try("POST", "/api/v1/keys", bad.body, bad.status, bad.header...)
	}
	key := decode[apiKey](c.t, c.try("POST", "/api/v1/keys", `{"id":"studio","name":"live/*"}`, 201))
	if key.ID != "studio" || len(key.Secret) < 20 {
		c.t.Errorf("made %+v", key)
	}
	c.try("POST", "/api/v1/keys", `{"id":"studio"}`, 409)
	other := decode[apiKey](c.t, c.try("POST", "/api/v1/keys", `{}`, 201))
	if got := string(c.try("GET", "/api/v1/keys", "", 200)); strings.Contains(got, key.Secret) || strings.Count(got, `"id"`) != 2 {
		c.t.Errorf("keys: %s", got)
	}
	c.try("DELETE", "/api/v1/keys/"+other.ID, "", 204)
	c.try("DELETE", "/api/v1/keys/"+other.ID, "", 404)
	return key
}

func (c *contract) testStream(keyID string) {
	t := c.t
	t.Helper()
	type stream struct {
		Name, State string
		Bitrate     int
		FrameRate   float64 `json:"frame_rate"`
		Publisher   struct {
			Encoder string
			KeyID   string `json:"key_id"`
			Remote  string
			Bytes   int
		}
		Video struct {
			Codec, String string
			Width, Height int
		}
		Audio struct {
			Codec      string
			Channels   int
			SampleRate int `json:"sample_rate"`
		}
		KeyFrameInterval *struct{ Last, Min, Max float64 } `json:"key_frame_interval"`
		AVOffset         *float64                          `json:"av_offset_seconds"`
		Counters         struct {
			VideoFrames int `json:"video_frames"`
		}
		HLS      struct{ Segments int }
		Renders  map[string]int
		Metadata map[string]any
	}
	var s stream
	eventually(t, "two key frames and a segment", func() bool {
		s = decode[stream](t, c.try("GET", "/api/v1/streams/live/x", "", 200))
		return s.KeyFrameInterval != nil && s.HLS.Segments > 0 && s.AVOffset != nil
	})
	if s.Name != "live/x" || s.State != "live" || s.Video.Width != 320 || s.Video.Height != 180 || s.Video.Codec != "H.264" ||
		!strings.HasPrefix(s.Video.String, "avc1.") || s.Audio.Codec != "AAC" || s.Audio.SampleRate != 44100 || s.Audio.Channels != 1 {
		t.Errorf("stream %+v", s)
	}
	if !strings.HasPrefix(s.Publisher.Encoder, "FMLE") || s.Publisher.Remote == "" || s.Publisher.Bytes == 0 || s.Counters.VideoFrames < 25 {
		t.Errorf("publisher %+v", s.Publisher)
	}
	if s.Publisher.KeyID != keyID {
		t.Errorf("published with %q", s.Publisher.KeyID)
	}
	if s.Bitrate < 10_000 || s.FrameRate < 20 || s.FrameRate > 30 || s.KeyFrameInterval.Last != 1 || *s.AVOffset < -1 || *s.AVOffset > 1 {
		t.Errorf("rates %+v, %+v, %v", s, *s.KeyFrameInterval, *s.AVOffset)
	}
	if s.Metadata["width"] != 320.0 || s.Metadata["encoder"] == nil {
		t.Errorf("metadata %v", s.Metadata)
	}
	for kind, n := range s.Renders {
		if n != 0 {
			t.Errorf("nobody watches, and %d %s were rendered", n, kind)
		}
	}
	if got := decode[struct{ Publishers []any }](t, c.try("GET", "/api/v1/publishers", "", 200)); len(got.Publishers) != 1 {
		t.Errorf("publishers %v", got)
	}
}

// testCheckup: what ffmpeg sends with these settings is as it should be.
func (c *contract) testCheckup() {
	t := c.t
	t.Helper()
	got := decode[struct {
		Worst    string
		Findings []struct{ Code, Severity, Text string }
	}](t, c.try("GET", "/api/v1/streams/live/x/checkup", "", 200))
	if len(got.Findings) == 0 || got.Worst != got.Findings[0].Severity || got.Worst == "problem" {
		t.Errorf("check-up %+v", got)
	}
}

// testHistory waits for the first sample of a stream whose publisher has left.
func (c *contract) testHistory() {
	t := c.t
	t.Helper()
	type history struct {
		Interval float64 `json:"interval_seconds"`
		Samples  []struct {
			Time    time.Time
			State   string
			Bitrate int
		}
	}
	var h history
	deadline := time.Now().Add(2 * admin.SampleEvery)
	for len(h.Samples) == 0 && time.Now().Before(deadline) {
		h = decode[history](t, c.try("GET", "/api/v1/streams/live/x/history", "", 200))
		time.Sleep(100 * time.Millisecond)
	}
	if h.Interval != admin.SampleEvery.Seconds() || len(h.Samples) == 0 || h.Samples[0].State == "" || time.Since(h.Samples[0].Time) > time.Minute {
		t.Errorf("history %+v", h)
	}
}

func (c *contract) testViewers() {
	t := c.t
	t.Helper()
	res, err := http.Get("http://" + c.p.addrs["http"] + "/live/x.flv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.ReadFull(res.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	c.p.get(t, "http", "/live/x/fmp4/index.m3u8")
	type viewer struct {
		ID, Stream, Protocol string
		Bytes                int
	}
	var all []viewer
	eventually(t, "bytes of the viewer", func() bool {
		all = decode[struct{ Viewers []viewer }](t, c.try("GET", "/api/v1/viewers", "", 200)).Viewers
		return len(all) == 1 && all[0].Bytes > 1000
	})
	if all[0].Stream != "live/x" || all[0].Protocol != "http-flv" {
		t.Errorf("viewers %+v", all)
	}
	eventually(t, "an audience of both", func() bool { // who asked for a playlist counts once it has been answered
		s := decode[struct {
			Streams []struct{ Viewers map[string]int }
		}](t, c.try("GET", "/api/v1/streams", "", 200))
		return len(s.Streams) == 1 && fmt.Sprint(s.Streams[0].Viewers) == "map[hls:1 http-flv:1]"
	})
	c.try("DELETE", "/api/v1/viewers/http-99", "", 404)
	c.try("DELETE", "/api/v1/viewers/nonsense", "", 404)
	c.try("DELETE", "/api/v1/viewers/"+all[0].ID, "", 204)
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Log("the body ended in order")
	}
	eventually(t, "nobody there", func() bool {
		return len(decode[struct{ Viewers []viewer }](t, c.try("GET", "/api/v1/viewers", "", 200)).Viewers) == 0
	})
}

// TestAPIAsksForToken: off loopback, or wherever there is a token.
func TestAPIAsksForToken(t *testing.T) {
	p := startServe(t, []string{"HEADWATER_ADMIN_TOKEN=s3cret"}, "--data", t.TempDir())
	for _, c := range []struct {
		path, token string
		status      int
	}{
		{"/api/v1/streams", "", 401}, {"/api/v1/streams", "wrong", 401}, {"/api/v1/streams", "s3cret", 200},
		{"/metrics", "", 401}, {"/debug/pprof/", "s3cret", 404}, {"/healthz", "", 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.addrs["admin"]+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("%s with %q: %d, want %d", c.path, c.token, res.StatusCode, c.status)
		}
		if kind := res.Header.Get("Content-Type"); c.status == 401 && kind != "application/problem+json" {
			t.Errorf("%s: %s", c.path, kind)
		}
	}
}
