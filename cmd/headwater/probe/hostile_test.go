package probe

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/origin/checkup"
)

// TestHostileServers: whatever answers, the probe ends in time, with a report.
func TestHostileServers(t *testing.T) {
	endless := func(first, rest string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			_, err := io.WriteString(w, first)
			for block := strings.Repeat(rest, 1+32<<10/len(rest)); err == nil; time.Sleep(time.Millisecond) { // others need the processor too
				_, err = io.WriteString(w, block)
			}
		}
	}
	tests := map[string]struct {
		code    string
		handler http.HandlerFunc
	}{
		"a page":    {"unknown", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>hello</html>") }},
		"nothing":   {"unreachable", func(http.ResponseWriter, *http.Request) {}},
		"not found": {"refused", http.NotFound},
		"redirects": {"unreachable", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }},
		"another protocol": {"unreachable", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}},
		"endless playlist":  {"unreachable", endless("#EXTM3U\n", "#EXTINF:1,\nx.ts\n")},
		"endless line":      {"unreachable", endless("#EXTM3U\n", "x")},
		"endless FLV tag":   {"media.none", endless("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00\x09\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00", "\x17")},
		"endless TS packet": {"media.none", endless("G\x00\x00\x10", "G"+strings.Repeat("\x1f", 187))},
		"compressed without end": {"unreachable", func(w http.ResponseWriter, _ *http.Request) {
			gzipped(w, "#EXTM3U\n"+strings.Repeat("#", 8<<20))
		}},
		"not compressed": {"unreachable", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "#EXTM3U")
		}},
		"playlists in playlists": {"playlist.failed", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nself.m3u8\n")
		}},
		"URIs of other kinds": {"segment.broken", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n")
		}},
		"many segments": {"segment.", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/x" {
				_, _ = io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"+strings.Repeat("#EXTINF:1,\ny\n", 20000))
			}
		}},
		"endless segment": {"segment.none", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/x" {
				_, _ = io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ny\n")
				return
			}
			endless("G\x00\x00\x10"+strings.Repeat("\x1f", 184), "G"+strings.Repeat("\x1f", 187))(w, r)
		}},
		"reloads that do not block": {"ll.reload_early", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/x" {
				_, _ = fmt.Fprintf(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.2\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n#EXTINF:1,\ny\n#%d\n", time.Now().UnixNano())
			}
		}},
	}
	reports := make(map[string]*Report)
	var mu sync.Mutex
	var running sync.WaitGroup
	few := make(chan struct{}, 4) // those without end keep a processor busy
	for name, tt := range tests {
		running.Go(func() {
			few <- struct{}{}
			defer func() { <-few }()
			s := httptest.NewServer(tt.handler)
			defer s.Close()
			defer s.CloseClientConnections()
			r := run(t, s.URL+"/x", Shortest)
			mu.Lock()
			defer mu.Unlock()
			reports[name] = r
		})
	}
	running.Wait()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found := func(f checkup.Finding) bool { return strings.HasPrefix(f.Code, tt.code) }
			if r := reports[name]; r == nil || !slices.ContainsFunc(r.Findings, found) || !r.Failed() {
				t.Errorf("%s is not found:\n%s", tt.code, listed(r))
			}
		})
	}
}

// TestMemory: a server that sends as fast as it can leaves nothing behind.
func TestMemory(t *testing.T) {
	tag := append([]byte{9, 0x0f, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x27, 1, 0, 0, 0}, make([]byte, 0x0fffff-5)...)
	tag = append(tag, 0, 0x10, 0, 0x0a)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.WriteString(w, "FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00")
		for err == nil {
			_, err = w.Write(tag)
		}
	}))
	defer s.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := run(t, s.URL+"/live/x.flv", Shortest)
	runtime.ReadMemStats(&after)
	if r.Bytes < 50<<20 || r.Video == nil || r.Video.Frames < 50 {
		t.Fatalf("only %d bytes came: %s", r.Bytes, listed(r))
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
		t.Errorf("%d MB came, and %d MB were allocated", r.Bytes>>20, grown>>20)
	}
}

// TestStalls: media that comes late and ends is seen against the wall clock.
func TestStalls(t *testing.T) {
	t.Parallel()
	clip, err := os.ReadFile(filepath.Join("media", "testdata", "clip.flv"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "video/x-flv")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		_, _ = w.Write(clip[:len(clip)/2])
		w.(http.Flusher).Flush()
		time.Sleep(1500 * time.Millisecond)
		_, _ = w.Write(clip[len(clip)/2:])
	}))
	defer s.Close()
	r := run(t, s.URL+"/live/x.flv", 4*time.Second)
	has(t, r, "arrival.stall", checkup.Warning)
	has(t, r, "stream.ended", checkup.Problem)
	if r.Video.Frames != 50 || r.Audio.Frames != 88 || r.Video.KeyInterval != Seconds(time.Second) || !r.Video.BFrames {
		t.Errorf("%+v, %+v", r.Video, r.Audio)
	}
}

func TestParseURL(t *testing.T) {
	for _, s := range []string{"", "x", "ftp://host/x", "rtmp://host/live/x", "http:///x", "http://" + strings.Repeat("x", maxURL), ":"} {
		if _, err := ParseURL(s); err == nil {
			t.Errorf("%.40q is taken", s)
		}
	}
}
