package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// add writes a probe down.
func (r *Recorder) add(p *Probe) {
	r.Rec.mu.Lock()
	defer r.Rec.mu.Unlock()
	r.Rec.Probes = append(r.Rec.Probes, p)
}

// ask puts one question and writes it down.
func (r *Recorder) ask(ctx context.Context, kind, target, format, path string) *Exchange {
	before := r.State(format)
	x := r.Do(ctx, http.MethodGet, path)
	if ctx.Err() == nil {
		r.add(&Probe{Kind: kind, Target: target, Format: format, Exchanges: []*Exchange{x}, Before: before, After: r.State(format)})
	}
	return x
}

// Ask puts a question about the low latency playlist, with these directives.
func (r *Recorder) Ask(ctx context.Context, kind, query string) *Exchange {
	return r.ask(ctx, kind, "list", "fmp4", r.Rec.Rendition("fmp4").Path+"?"+query)
}

// AskHint asks for the part that is hinted now.
func (r *Recorder) AskHint(ctx context.Context, kind string) *Exchange {
	for _, h := range r.State("fmp4").Hints {
		if h.Type == "PART" {
			return r.ask(ctx, kind, "part", "fmp4", resolve(r.Rec.Rendition("fmp4").Path, h.URI))
		}
	}
	return nil
}

// AwaitState waits until a format's newest playlist is as wanted, and says whether
// it is.
func (r *Recorder) AwaitState(ctx context.Context, format string, want func(*Media) bool) bool {
	for ctx.Err() == nil {
		if m := r.State(format); m != nil && want(m) {
			return true
		}
		pause(ctx, 5*time.Millisecond)
	}
	return false
}

// awaitSegment waits for the moment at which a segment has just closed.
func (r *Recorder) awaitSegment(ctx context.Context) *Media {
	var last uint64
	if m := r.State("fmp4"); m != nil {
		last = m.Last()
	}
	r.AwaitState(ctx, "fmp4", func(m *Media) bool { return m.Last() > last })
	return r.State("fmp4")
}

// ProbeReload asks the low latency playlist in every form of blocking reload. It
// takes some segments' time.
func (r *Recorder) ProbeReload(ctx context.Context) {
	m := r.awaitSegment(ctx)
	if m == nil || ctx.Err() != nil {
		return
	}
	last := m.Last()
	for _, msn := range []uint64{m.Sequence, last, last - min(last, 100), 0} {
		r.Ask(ctx, "reload-at-once", fmt.Sprintf("_HLS_msn=%d", msn))
	}
	r.Ask(ctx, "reload-at-once", fmt.Sprintf("_HLS_msn=%d&_HLS_part=0", last))
	for _, ahead := range []uint64{3, 4, 1_000_000} {
		r.Ask(ctx, "reload-too-far", fmt.Sprintf("_HLS_msn=%d", last+ahead))
	}
	limit := 3 + int(3*time.Second/m.PartTarget)
	r.Ask(ctx, "reload-part-too-far", fmt.Sprintf("_HLS_msn=%d&_HLS_part=%d", last+1, m.OpenParts()+limit+3))
	r.Ask(ctx, "reload-part-alone", "_HLS_part=0")
	r.Ask(ctx, "reload-part-alone", "_HLS_part=0&_HLS_skip=YES")
	for _, q := range []string{"_HLS_msn=x", "_HLS_msn=", "_HLS_msn=-1", "_HLS_msn=1.5", "_HLS_msn=0x10", "_HLS_msn=1&_HLS_part=x", "_HLS_msn=1&_HLS_part=-1", "_HLS_msn=99999999999999999999999"} {
		r.Ask(ctx, "reload-malformed", q)
	}
	r.ask(ctx, "reload-plain", "list", "ts", r.Rec.Rendition("ts").Path+fmt.Sprintf("?_HLS_msn=%d&_HLS_skip=YES", last+1))
	r.probeUnknownPart(ctx)
	r.probeWaiting(ctx)
}

// probeWaiting asks what has to wait, all at one time.
func (r *Recorder) probeWaiting(ctx context.Context) {
	m := r.awaitSegment(ctx)
	if m == nil || ctx.Err() != nil {
		return
	}
	last := m.Last()
	var wg sync.WaitGroup
	wg.Go(func() { r.Ask(ctx, "reload-segment", fmt.Sprintf("_HLS_msn=%d", last+1)) })
	wg.Go(func() { r.Ask(ctx, "reload-ahead", fmt.Sprintf("_HLS_msn=%d", last+2)) })
	wg.Go(func() {
		r.together(ctx, "reload-shared", 8, func(int) string { return fmt.Sprintf("_HLS_msn=%d&_HLS_part=2", last+1) })
	})
	wg.Go(func() {
		r.together(ctx, "delta", 2, func(i int) string {
			return fmt.Sprintf("_HLS_msn=%d&_HLS_part=3", last+1) + []string{"", "&_HLS_skip=v2"}[i]
		})
	})
	if s := m.Find(last); s != nil && len(s.Parts) > 0 { // segments have about as many parts each
		wg.Go(func() {
			r.Ask(ctx, "reload-past-end", fmt.Sprintf("_HLS_msn=%d&_HLS_part=%d", last+1, len(s.Parts)))
		})
	}
	wg.Wait()
}

// together asks n questions at one time and writes them down as one probe.
func (r *Recorder) together(ctx context.Context, kind string, n int, query func(i int) string) {
	p := &Probe{Kind: kind, Target: "list", Format: "fmp4", Before: r.State("fmp4"), Exchanges: make([]*Exchange, n)}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { p.Exchanges[i] = r.Do(ctx, http.MethodGet, r.Rec.Rendition("fmp4").Path+"?"+query(i)) })
	}
	wg.Wait()
	if ctx.Err() == nil {
		r.add(p)
	}
}

var lastNumber = regexp.MustCompile(`[0-9]+(\.[a-z0-9]+)?$`)

// probeUnknownPart guesses the name of a part that comes much later.
func (r *Recorder) probeUnknownPart(ctx context.Context) {
	for _, h := range r.State("fmp4").Hints {
		if name := later(h.URI, 50); name != h.URI {
			r.ask(ctx, "hint-unknown", "part", "fmp4", resolve(r.Rec.Rendition("fmp4").Path, name))
		}
	}
}

// later counts a name's last number up.
func later(name string, by int) string {
	return lastNumber.ReplaceAllStringFunc(name, func(s string) string {
		digits := strings.TrimRight(s, ".abcdefghijklmnopqrstuvwxyz4")
		if dot := strings.IndexByte(s, '.'); dot >= 0 {
			digits = s[:dot]
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			return s
		}
		return strconv.Itoa(n+by) + strings.TrimPrefix(s, digits)
	})
}

// resource is one path to put HTTP questions about.
type resource struct {
	target, format, path string
}

// resources are one of each kind, from what has been recorded so far: the newest
// segment but one, so that it stays.
func (r *Recorder) resources() (all []resource) {
	for _, format := range []string{"fmp4", "ts"} {
		m := r.State(format)
		n := r.Rec.Rendition(format)
		if m == nil || len(m.Segments) == 0 {
			continue
		}
		multi := "/" + r.App + ".m3u8"
		if format == "ts" {
			multi = "/" + r.App + ".ts.m3u8"
		}
		s := m.Segments[len(m.Segments)-1]
		all = append(all, resource{"multi", format, multi}, resource{"list", format, n.Path},
			resource{"segment", format, resolve(n.Path, s.URI)})
		if s.Map != "" {
			all = append(all, resource{"init", format, resolve(n.Path, s.Map)})
		}
		if len(s.Parts) > 0 {
			all = append(all, resource{"part", format, resolve(n.Path, s.Parts[0].URI)})
		}
	}
	return all
}

// ProbeHTTP asks what caches and browsers ask, of each kind of resource.
func (r *Recorder) ProbeHTTP(ctx context.Context) {
	for _, x := range r.resources() {
		r.steady(ctx, "head", x, func(*Exchange) []*Exchange {
			return []*Exchange{r.Do(ctx, http.MethodHead, x.path)}
		})
		r.steady(ctx, "conditional", x, func(get *Exchange) []*Exchange {
			return []*Exchange{
				r.Do(ctx, http.MethodGet, x.path, "If-None-Match", get.Header.Get("Etag")),
				r.Do(ctx, http.MethodHead, x.path, "If-None-Match", `"other", `+get.Header.Get("Etag")),
				r.Do(ctx, http.MethodGet, x.path, "If-Modified-Since", get.Header.Get("Last-Modified")),
			}
		})
		r.steady(ctx, "query", x, func(*Exchange) []*Exchange {
			return []*Exchange{
				r.Do(ctx, http.MethodGet, x.path+"?CMCD=bl%3D1000%2Cot%3Dv&auth_key=1-2-3-abc"),
				r.Do(ctx, http.MethodGet, x.path+"?txSecret=0&session=1&%zz&;", "CMCD-Session", `sid="1"`, "Origin", "https://example.com", "Cookie", "a=b"),
			}
		})
		preflight := r.Do(ctx, http.MethodOptions, x.path, "Origin", "https://example.com", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "range, cmcd-request")
		r.add(&Probe{Kind: "preflight", Target: x.target, Format: x.format, Exchanges: []*Exchange{preflight}})
		if x.target == "multi" || x.target == "list" {
			r.steady(ctx, "gzip", x, func(*Exchange) []*Exchange {
				return []*Exchange{r.Do(ctx, http.MethodGet, x.path, "Accept-Encoding", "gzip, br")}
			})
			continue
		}
		r.probeRanges(ctx, x)
	}
	r.probeMissing(ctx)
	r.probeFLV(ctx)
}

// steady asks plainly, then more, then plainly again, until both plain answers
// are the same, and writes down the first and the others.
func (r *Recorder) steady(ctx context.Context, kind string, x resource, more func(*Exchange) []*Exchange) {
	for range 50 {
		first := r.Do(ctx, http.MethodGet, x.path)
		others := more(first)
		again := r.Do(ctx, http.MethodGet, x.path)
		if ctx.Err() != nil {
			return
		}
		if bytes.Equal(first.Body, again.Body) && first.Header.Get("Etag") == again.Header.Get("Etag") {
			r.add(&Probe{Kind: kind, Target: x.target, Format: x.format, Exchanges: append([]*Exchange{first}, others...)})
			return
		}
	}
}

func (r *Recorder) probeRanges(ctx context.Context, x resource) {
	r.steady(ctx, "range", x, func(get *Exchange) (all []*Exchange) {
		for _, s := range []string{"0-99", "100-199", "-50", "300-", "0-99999999", fmt.Sprintf("%d-", len(get.Body)), fmt.Sprintf("%d-", len(get.Body)-1)} {
			all = append(all, r.Do(ctx, http.MethodGet, x.path, "Range", "bytes="+s))
		}
		return all
	})
	r.steady(ctx, "if-range", x, func(get *Exchange) []*Exchange {
		return []*Exchange{
			r.Do(ctx, http.MethodGet, x.path, "Range", "bytes=10-19", "If-Range", get.Header.Get("Etag")),
			r.Do(ctx, http.MethodGet, x.path, "Range", "bytes=10-19", "If-Range", `"other"`),
		}
	})
	r.steady(ctx, "objects-gzip", x, func(*Exchange) []*Exchange {
		return []*Exchange{r.Do(ctx, http.MethodGet, x.path, "Accept-Encoding", "gzip")}
	})
}

// probeMissing asks for what is not there.
func (r *Recorder) probeMissing(ctx context.Context) {
	paths := map[string]string{
		"multi": "/live/nobody-publishes-this.m3u8",
		"list":  "/live/nobody-publishes-this/fmp4/index.m3u8",
	}
	for _, x := range r.resources() {
		if x.target == "segment" {
			paths["segment "+x.format] = later(x.path, 50)
		}
	}
	for target, path := range paths {
		target, format, _ := strings.Cut(target, " ")
		if format == "" {
			format = "fmp4"
		}
		r.ask(ctx, "not-found", target, format, path)
	}
}

// probeFLV looks into the first second of HTTP-FLV.
func (r *Recorder) probeFLV(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	x := r.Do(ctx, http.MethodGet, "/"+r.App+".flv")
	r.add(&Probe{Kind: "flv", Exchanges: []*Exchange{x}})
}
