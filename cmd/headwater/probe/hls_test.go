package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/origin/checkup"
)

const watched = 4 * time.Second

func TestGoodHLS(t *testing.T) {
	t.Parallel()
	r := newOrigin(t).watch(t, 3500*time.Millisecond)
	clean(t, r, checkup.Info)
	h := r.HLS
	if r.Kind != KindHLS || !r.Reachable || !h.Live || h.LowLatency || h.Container != KindTS || h.Target != Seconds(time.Second) || h.Segments < 5 || h.Updates < 2 || h.Latency == nil {
		t.Errorf("%+v", h)
	}
	v, a := r.Video, r.Audio
	if v == nil || v.Codec != "H.264" || v.Width != 64 || v.FrameRate < 24.9 || v.FrameRate > 25.1 || v.KeyFrames < 5 || v.KeyInterval != Seconds(time.Second) || v.BFrames {
		t.Errorf("%+v", v)
	}
	if a == nil || a.Codec != "AAC" || a.SampleRate != 48000 || a.Channels != 1 {
		t.Errorf("%+v", a)
	}
	var back map[string]any
	b, err := json.Marshal(r)
	if err != nil || json.Unmarshal(b, &back) != nil || back["result"] != "ok" && back["result"] != "info" || back["video"].(map[string]any)["key_interval_mean"] != 1.0 {
		t.Errorf("%v: %s", err, b)
	}
}

// TestBadHLS: one fault each, of a server that is right in all else.
func TestBadHLS(t *testing.T) {
	t.Parallel()
	seg := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".ts") }
	tests := map[string]struct {
		code     string
		severity checkup.Severity
		list     func(at int, text string) string
		serve    func(w http.ResponseWriter, r *http.Request) bool
	}{
		"sequence goes back": {"sequence.back", checkup.Problem, func(at int, text string) string {
			if at > window+1 {
				return strings.Replace(text, fmt.Sprintf("SEQUENCE:%d", at-window), "SEQUENCE:0", 1)
			}
			return text
		}, nil},
		"names move": {"sequence.renamed", checkup.Problem, func(at int, text string) string {
			return strings.Replace(text, fmt.Sprintf("SEQUENCE:%d", at-window), "SEQUENCE:7", 1)
		}, nil},
		"target changes": {"target.changed", checkup.Problem, func(at int, text string) string {
			return strings.Replace(text, "DURATION:1", fmt.Sprintf("DURATION:%d", 1+at%2), 1)
		}, nil},
		"discontinuities are not counted": {"discontinuity.sequence", checkup.Problem, func(_ int, text string) string {
			return strings.Replace(text, "#EXTINF:1.000,\n1.ts", "#EXT-X-DISCONTINUITY\n#EXTINF:1.000,\n1.ts", 1)
		}, nil},
		"it stands still": {"playlist.stalled", checkup.Problem, func(_ int, text string) string {
			return "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n0.ts\n#EXTINF:1,\n1.ts\n#EXTINF:1,\n2.ts\n"
		}, nil},
		"segments are too long": {"segment.too_long", checkup.Problem, func(_ int, text string) string {
			return strings.ReplaceAll(text, "#EXTINF:1.000", "#EXTINF:1.700")
		}, nil},
		"EXTINF is wrong": {"segment.duration", checkup.Warning, func(_ int, text string) string {
			return strings.ReplaceAll(text, "#EXTINF:1.000", "#EXTINF:0.500")
		}, nil},
		"syntax": {"playlist.syntax", checkup.Warning, func(_ int, text string) string {
			return strings.Replace(text, "#EXT-X-PROGRAM", "#EXTINF:abc,\n#EXT-X-PROGRAM", 1)
		}, nil},
		"segments are missing": {"segment.missing", checkup.Problem, nil, func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/4.ts" {
				http.NotFound(w, r)
				return true
			}
			return false
		}},
		"segments are cut": {"segment.broken", checkup.Problem, nil, func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/4.ts" {
				w.Header().Set("Content-Length", "9000")
				_, _ = w.Write([]byte("G..."))
				return true
			}
			return false
		}},
		"names are used again": {"segment.changed", checkup.Problem, nil, func(w http.ResponseWriter, r *http.Request) bool {
			if seg(r) {
				w.Header().Set("Content-Type", "video/mp2t")
				b := bytes.Repeat([]byte{0xff}, 188)
				copy(b, []byte{0x47, 0x1f, 0xff, 0x10, byte(time.Now().UnixNano()), byte(time.Now().UnixNano() >> 8), byte(time.Now().UnixNano() >> 16)})
				_, _ = w.Write(b)
				return true
			}
			return false
		}},
		"a page of another site": {"delivery.cors", checkup.Warning, nil, func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Del("Access-Control-Allow-Origin")
			return false
		}},
		"cookies": {"delivery.cookies", checkup.Warning, nil, func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Set-Cookie", "a=b")
			return false
		}},
		"redirects": {"delivery.redirects", checkup.Warning, nil, func(w http.ResponseWriter, r *http.Request) bool {
			if seg(r) || r.URL.RawQuery != "" {
				return false
			}
			http.Redirect(w, r, r.URL.Path+"?again", http.StatusFound)
			return true
		}},
		"caches keep playlists": {"cache.playlist_long", checkup.Problem, nil, func(w http.ResponseWriter, r *http.Request) bool {
			if seg(r) {
				return false
			}
			w.Header().Set("Cache-Control", "public, max-age=3600")
			gzipped(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n0.ts\n")
			return true
		}},
		"a cache that is late": {"cache.old_playlist", checkup.Problem, nil, func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Age", "30")
			return false
		}},
	}
	reports := make(map[string]*Report)
	var mu sync.Mutex
	var running sync.WaitGroup
	for name, tt := range tests {
		o := newOrigin(t)
		o.list, o.serve = tt.list, tt.serve
		running.Go(func() {
			r := o.watch(t, watched)
			mu.Lock()
			defer mu.Unlock()
			reports[name] = r
		})
	}
	running.Wait()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { has(t, reports[name], tt.code, tt.severity) })
	}
}
