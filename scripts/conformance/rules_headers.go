package conformance

import (
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// headerRules hold for the headers of every answer in a recording.
var headerRules = []Rule{
	{"http.cache-object", "CONTRACT.md", "segments, parts and initialization sections are immutable", checkCacheObject},
	{"http.cache-list", "CONTRACT.md; HLS.md 8", "playlists live for half a target duration, at least a second", checkCacheList},
	{"http.cache-reload", "CONTRACT.md; bis B.1", "the answer to a blocking reload lives for six target durations", checkCacheReload},
	{"http.cache-error", "CONTRACT.md", "400 and 404 live for a second, 503 not at all, and it says when to ask again", checkCacheError},
	{"http.etag", "CONTRACT.md", "a strong ETag that changes with the body", checkETag},
	{"http.last-modified", "CONTRACT.md; APL 8.24", "Last-Modified is there, does not go back, and is no older than 3 × TARGETDURATION", checkLastModified},
	{"http.length", "HLS.md 6", "Content-Length at each object", checkLength},
	{"http.object-type", "CONTRACT.md", "the content type of each object", checkObjectType},
	{"http.cors", "HLS.md 6", "any site may read every answer, errors included, without credentials", checkCORS},
	{"http.nosniff", "CONTRACT.md", "X-Content-Type-Options: nosniff at every answer", checkNosniff},
	{"http.cookies", "HLS.md 6", "no cookies", checkCookies},
	{"http.vary", "CONTRACT.md", "playlists vary by Accept-Encoding, and nothing by anything else but Origin", checkVary},
	{"http.redirect", "APL 8.18", "no redirects", checkRedirect},
	{"http.objects-plain", "HLS.md 6", "objects are never compressed", checkObjectsPlain},
}

// answer is an exchange and what it was about.
type answer struct {
	*Exchange
	target string // multi, list, segment, part, init; empty: none of these
	format string
	length time.Duration // TARGETDURATION
}

// answers are all that the server gave, whatever for.
func (v *view) answers() (all []answer) {
	targets := map[string]time.Duration{}
	for _, n := range v.renditions {
		if len(n.states) > 0 {
			targets[n.Format] = n.states[0].m.Target
		}
		for _, l := range n.Lists {
			all = append(all, answer{&l.Exchange, "list", n.Format, targets[n.Format]})
		}
		for _, o := range n.Objects {
			for _, x := range o.Gets {
				all = append(all, answer{x, string(o.Kind), n.Format, targets[n.Format]})
			}
		}
	}
	for _, m := range v.rec.Multis {
		all = append(all, answer{&m.Exchange, "multi", m.Format, targets[m.Format]})
	}
	for _, p := range v.rec.Probes {
		for _, x := range p.Exchanges {
			all = append(all, answer{x, p.Target, p.Format, targets[p.Format]})
		}
	}
	return slices.DeleteFunc(all, func(a answer) bool { return a.Status == 0 })
}

func (a answer) object() bool {
	return a.target == "segment" || a.target == "part" || a.target == "init"
}

// positive says that the answer is the thing itself, or that the client has it.
func (a answer) positive() bool {
	return a.Method != http.MethodOptions && (a.Status == http.StatusOK || a.Status == http.StatusPartialContent || a.Status == http.StatusNotModified)
}

func checkCacheObject(v *view, r *report) {
	for _, a := range v.answers() {
		if a.object() && a.positive() {
			r.want(a.Header.Get("Cache-Control") == "public, max-age=31536000, immutable", "%s %d: %q", a.Path, a.Status, a.Header.Get("Cache-Control"))
		}
	}
}

var publicAge = regexp.MustCompile(`^public, max-age=([0-9]+)$`)

// age reads a Cache-Control of the only form that playlists have.
func age(h http.Header) (seconds int, ok bool) {
	m := publicAge.FindStringSubmatch(h.Get("Cache-Control"))
	if m == nil {
		return 0, false
	}
	seconds, err := strconv.Atoi(m[1])
	return seconds, err == nil
}

func (a answer) blocking() bool {
	return a.target == "list" && a.format == "fmp4" && readDirectives(a.Path).blocking
}

func (a answer) ended() bool {
	return a.target == "list" && strings.Contains(string(a.Body), "#EXT-X-ENDLIST")
}

func checkCacheList(v *view, r *report) {
	for _, a := range v.answers() {
		if (a.target == "list" || a.target == "multi") && a.positive() && !a.blocking() && !a.ended() && a.length > 0 {
			got, ok := age(a.Header)
			most := max(1, int((a.length+time.Second)/(2*time.Second)))
			r.want(ok && 1 <= got && got <= most, "%s %d: %q, half of %v", a.Path, a.Status, a.Header.Get("Cache-Control"), a.length)
		}
	}
}

func checkCacheReload(v *view, r *report) {
	for _, a := range v.answers() {
		if a.blocking() && a.positive() && !a.ended() {
			got, ok := age(a.Header)
			r.want(ok && got == int(6*a.length/time.Second), "%s %d: %q, six times %v", a.Path, a.Status, a.Header.Get("Cache-Control"), a.length)
		}
	}
}

func checkCacheError(v *view, r *report) {
	for _, a := range v.answers() {
		cache := a.Header.Get("Cache-Control")
		switch a.Status {
		case http.StatusBadRequest, http.StatusNotFound:
			r.want(cache == "public, max-age=1" || cache == "max-age=1", "%s %d: %q", a.Path, a.Status, cache)
		case http.StatusServiceUnavailable:
			_, err := strconv.Atoi(a.Header.Get("Retry-After"))
			r.want(cache == "no-store" && err == nil, "%s %d: %q, Retry-After %q", a.Path, a.Status, cache, a.Header.Get("Retry-After"))
		}
	}
}

var strongTag = regexp.MustCompile(`^"[^"]+"$`)

func checkETag(v *view, r *report) {
	bodies := map[string]string{}
	for _, a := range v.answers() {
		if a.target == "" || !a.positive() || a.Status != http.StatusOK || a.Method != http.MethodGet || a.Err != "" {
			continue
		}
		tag := a.Header.Get("Etag")
		r.want(strongTag.MatchString(tag), "%s: ETag %q", a.Path, tag)
		p, _, _ := strings.Cut(a.Path, "?")
		key := p + " " + tag
		old, ok := bodies[key]
		r.want(!ok || old == string(a.Body), "%s: two bodies with the ETag %s", a.Path, tag)
		bodies[key] = string(a.Body)
	}
}

func checkLastModified(v *view, r *report) {
	newest := map[string]time.Time{}
	for _, a := range v.answers() {
		if a.target == "" || !a.positive() || a.Status == http.StatusNotModified {
			continue
		}
		at, err := http.ParseTime(a.Header.Get("Last-Modified"))
		r.want(err == nil, "%s: Last-Modified %q", a.Path, a.Header.Get("Last-Modified"))
		if a.target != "list" || err != nil {
			continue
		}
		if a.Method == http.MethodGet && len(a.Request) == 0 && !slices.ContainsFunc(v.rec.Probes, func(p *Probe) bool { return slices.Contains(p.Exchanges, a.Exchange) }) {
			r.want(!at.Before(newest[a.format]), "%s: Last-Modified goes back from %v to %v", a.Path, newest[a.format], at)
			newest[a.format] = at
		}
		if v.rec.Paced && !a.ended() && !v.rec.between(a.Sent.Add(-3*a.length), a.Done) && !v.stalledAt(a.Done) {
			r.want(a.Done.Sub(at) <= 3*a.length+time.Second, "%s: Last-Modified was %v ago", a.Path, a.Done.Sub(at))
		}
	}
}

// stalledAt says whether no publisher was at work at a time.
func (v *view) stalledAt(at time.Time) bool {
	var last Event
	for _, e := range v.rec.Events {
		if e.At.Before(at) && e.At.After(last.At) {
			last = e
		}
	}
	return last.Kind == Stalled || last.Kind == Left || last.Kind == Restarted
}

func checkLength(v *view, r *report) {
	for _, a := range v.answers() {
		if a.object() && a.Method == http.MethodGet && a.Err == "" && (a.Status == http.StatusOK || a.Status == http.StatusPartialContent) {
			r.want(a.Header.Get("Content-Length") == fmt.Sprint(len(a.Body)), "%s: Content-Length %q of %d bytes", a.Path, a.Header.Get("Content-Length"), len(a.Body))
		}
	}
}

func checkObjectType(v *view, r *report) {
	for _, a := range v.answers() {
		if !a.object() || !a.positive() || a.Status == http.StatusNotModified {
			continue
		}
		kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
		want := []string{"video/mp4", "audio/mp4"}
		if a.format == "ts" {
			want = []string{"video/mp2t"}
		}
		r.want(slices.Contains(want, kind), "%s: %q", a.Path, kind)
	}
}

func checkCORS(v *view, r *report) {
	for _, a := range v.answers() {
		h := a.Header
		r.want(h.Get("Access-Control-Allow-Origin") == "*" && h.Get("Access-Control-Allow-Credentials") == "", "%s %d: %q", a.Path, a.Status, h.Get("Access-Control-Allow-Origin"))
		exposed := strings.ToLower(h.Get("Access-Control-Expose-Headers"))
		for _, name := range []string{"date", "age", "content-length", "content-range", "etag"} {
			r.want(a.Method == http.MethodOptions || strings.Contains(exposed, name), "%s %d: %s is not exposed: %q", a.Path, a.Status, name, exposed)
		}
	}
}

func checkNosniff(v *view, r *report) {
	for _, a := range v.answers() {
		r.want(a.Header.Get("X-Content-Type-Options") == "nosniff", "%s %d: %q", a.Path, a.Status, a.Header.Get("X-Content-Type-Options"))
	}
}

func checkCookies(v *view, r *report) {
	for _, a := range v.answers() {
		r.want(len(a.Header.Values("Set-Cookie")) == 0, "%s %d: %q", a.Path, a.Status, a.Header.Values("Set-Cookie"))
	}
}

func checkVary(v *view, r *report) {
	for _, a := range v.answers() {
		encoding := false
		for _, line := range a.Header.Values("Vary") {
			for name := range strings.SplitSeq(line, ",") {
				name = strings.ToLower(strings.TrimSpace(name))
				encoding = encoding || name == "accept-encoding"
				r.want(name == "accept-encoding" || name == "origin", "%s %d: Vary: %s", a.Path, a.Status, line)
			}
		}
		if (a.target == "list" || a.target == "multi") && a.positive() {
			r.want(encoding, "%s %d: no Vary: Accept-Encoding", a.Path, a.Status)
		}
	}
}

func checkRedirect(v *view, r *report) {
	for _, a := range v.answers() {
		r.want(a.Status < 300 || a.Status >= 400 || a.Status == http.StatusNotModified, "%s: %d to %s", a.Path, a.Status, a.Header.Get("Location"))
	}
}

func checkObjectsPlain(v *view, r *report) {
	for _, a := range v.answers() {
		if a.object() && a.positive() {
			r.want(a.Header.Get("Content-Encoding") == "", "%s: %s", a.Path, a.Header.Get("Content-Encoding"))
		}
	}
}
