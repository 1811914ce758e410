package traffic

import (
	"net/http"
	"strings"
	"sync/atomic"

	"headwater/cmd/headwater/histogram"
)

// Kind is what a request is for, as far as its path says. It is a metric's label.
type Kind uint8

// The kinds of objects.
const (
	Multivariant Kind = iota
	Playlist
	Segment
	Part
	Init
	FLV
	TS
	Other
	numKinds
)

var kindNames = [numKinds]string{"multivariant", "playlist", "segment", "part", "init", "flv", "ts", "other"}

// String returns the label.
func (k Kind) String() string { return kindNames[k] }

// endless bodies last as long as their viewers watch.
func (k Kind) endless() bool { return k == FLV || k == TS }

// KindOf returns what a path is for.
func KindOf(path string) Kind {
	app, rest, _ := strings.Cut(strings.TrimPrefix(withoutToken(path), "/"), "/")
	name, rest, deep := strings.Cut(rest, "/")
	switch {
	case app == "" || name == "":
		return Other
	case !deep:
		switch {
		case strings.HasSuffix(name, ".m3u8"):
			return Multivariant
		case strings.HasSuffix(name, ".flv"):
			return FLV
		case strings.HasSuffix(name, ".ts"):
			return TS
		}
		return Other
	}
	format, file, _ := strings.Cut(rest, "/")
	if format != "fmp4" && format != "ts" || strings.Contains(file, "/") {
		return Other
	}
	_, number, _ := strings.Cut(file, "-")
	switch {
	case file == "index.m3u8":
		return Playlist
	case strings.HasSuffix(file, ".mp4"):
		return Init
	case strings.HasSuffix(file, ".ts"):
		return Segment
	case strings.HasSuffix(file, ".m4s") && strings.HasPrefix(number, "p"):
		return Part
	case strings.HasSuffix(file, ".m4s"):
		return Segment
	}
	return Other
}

// streamOf returns the APP/NAME that a path is about, "" if it is about none.
func streamOf(path string) string {
	app, rest, _ := strings.Cut(strings.TrimPrefix(withoutToken(path), "/"), "/")
	name, _, deep := strings.Cut(rest, "/")
	if !deep {
		for _, suffix := range []string{".m3u8", ".flv", ".ts"} {
			if cut, ok := strings.CutSuffix(name, suffix); ok {
				name = cut
				break
			}
		}
	}
	if app == "" || name == "" {
		return ""
	}
	return app + "/" + name
}

// withoutToken returns a path without the token that may stand in front of it.
func withoutToken(path string) string {
	if rest, ok := strings.CutPrefix(path, "/token="); ok {
		_, path, _ = strings.Cut(rest, "/")
	}
	return path
}

// buckets are the upper bounds of the histogram of durations, in seconds. Blocking
// reloads take as long as a part or a segment.
var buckets = []float64{0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// codeClasses are 2xx to 5xx.
const codeClasses = 4

type kindCounters struct {
	codes     [codeClasses]atomic.Uint64
	bytes     atomic.Uint64
	durations *histogram.Histogram
}

func (k *kindCounters) count(status int, bytes uint64) {
	class := min(max(status/100-2, 0), codeClasses-1)
	if status == http.StatusSwitchingProtocols {
		class = 0
	}
	k.codes[class].Add(1)
	k.bytes.Add(bytes)
}

// KindStats are the counts of one kind.
type KindStats struct {
	Kind  Kind
	Codes map[string]uint64 // requests by class of status, 2xx to 5xx
	Bytes uint64            // of bodies; of endless ones only those over HTTP/2

	// Durations of answers, endless ones apart.
	Durations histogram.Snapshot
}

// Stats returns the counts of all kinds.
func (t *Traffic) Stats() []KindStats {
	all := make([]KindStats, numKinds)
	for i := range t.kinds {
		k, s := &t.kinds[i], &all[i]
		s.Kind, s.Bytes, s.Codes, s.Durations = Kind(i), k.bytes.Load(), map[string]uint64{}, k.durations.Snapshot()
		for c, name := range [codeClasses]string{"2xx", "3xx", "4xx", "5xx"} {
			s.Codes[name] = k.codes[c].Load()
		}
	}
	return all
}
