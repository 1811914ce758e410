//go:build linux

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each chart is XML with a bar and a figure for each value.
func TestCharts(t *testing.T) {
	r := results{
		HLS:        []hlsCost{{"playlist", 1800, 28, 18, 11, 13}, {"segment", 512000, 106.4, 92, 198, 78}},
		Publishers: []ingestPair{{ingestCost{Publishers: 1, CPUms: 4}, ingestCost{CPUms: 1}}, {ingestCost{Publishers: 200, CPUms: 2.5}, ingestCost{CPUms: 0.5}}},
		Matrix: []fanoutCost{{Viewers: 1, GatherMs: 0, CPUPerGB: 2, DelayP50: 1}, {Viewers: 1, GatherMs: 100, CPUPerGB: 1.25, DelayP50: 52},
			{Viewers: 1000, GatherMs: 0, CPUPerGB: 0.75, DelayP50: 9}, {Viewers: 1000, GatherMs: 100, CPUPerGB: 0.3, DelayP50: 60}},
	}
	dir := filepath.Join(t.TempDir(), "charts")
	if err := r.writeCharts(dir); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]struct {
		rects int
		texts string
	}{
		"hls.svg":           {1 + 4 + 8, ">106</text>"},
		"publishers.svg":    {1 + 2 + 4, ">2.50</text>"},
		"viewers-cpu.svg":   {1 + 2 + 4, ">0.300</text>"},
		"viewers-delay.svg": {1 + 2 + 4, ">60.0</text>"},
	} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		rects := 0
		for d := xml.NewDecoder(strings.NewReader(string(b))); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
				rects++
			}
		}
		if rects != want.rects || !strings.Contains(string(b), want.texts) {
			t.Errorf("%s: %d bars and swatches, want %d; or no %q", file, rects, want.rects, want.texts)
		}
	}
}

// A player asks for the part behind the last one that it knows.
func TestNextQuery(t *testing.T) {
	const head = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2,\na-7.m4s\n"
	for list, want := range map[string]string{
		head: "?_HLS_msn=8&_HLS_part=0",
		head + "#EXT-X-PART:DURATION=0.3,URI=\"p1\"\n#EXT-X-PART:DURATION=0.3,URI=\"p2\"\n":                "?_HLS_msn=8&_HLS_part=2",
		head + "#EXT-X-PART:DURATION=0.3,URI=\"p1\"\n#EXTINF:2,\na-8.m4s\n#EXT-X-PRELOAD-HINT:TYPE=PART\n": "?_HLS_msn=9&_HLS_part=0",
	} {
		if got, err := nextQuery(list); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", list, got, err, want)
		}
	}
	if _, err := nextQuery("not found"); err == nil {
		t.Error("no error for what is no playlist")
	}
}

func TestBodyLength(t *testing.T) {
	if n, err := bodyLength([]byte("HTTP/1.1 200 OK\r\nContent-Length: 123\r\nX: y\r\n")); err != nil || n != 123 {
		t.Errorf("%d, %v", n, err)
	}
	for _, head := range []string{"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"} {
		if _, err := bodyLength([]byte(head)); err == nil {
			t.Errorf("%q is taken", head)
		}
	}
}
