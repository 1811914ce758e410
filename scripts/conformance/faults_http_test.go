//go:build e2e

package conformance

import (
	"bytes"
	"net/http"
	"regexp"
	"strconv"
)

// multiFaults break what multivariant playlists say.
var multiFaults = []fault{
	{rule: "multi.leads", name: "elsewhere", plant: func(f *faulty) { f.variant("ts", `x/ts/index`, `x/none/index`) }},
	{rule: "multi.bandwidth", name: "half", plant: func(f *faulty) { f.scale(`([:,]BANDWIDTH=)([0-9]+)`) }},
	{rule: "multi.average", name: "half", plant: func(f *faulty) { f.scale(`(AVERAGE-BANDWIDTH=)([0-9]+)`) }},
	{rule: "multi.average", name: "none", plant: func(f *faulty) { f.variant("ts", `,AVERAGE-BANDWIDTH=[0-9]+`, ``) }},
	{rule: "multi.codecs", name: "another level", plant: func(f *faulty) { f.variant("ts", `avc1\.[0-9a-f]{6}`, `avc1.640034`) }},
	{rule: "multi.codecs", name: "no audio", plant: func(f *faulty) { f.variant("fmp4", `,mp4a\.40\.2`, ``) }},
	{rule: "multi.resolution", name: "not cropped", plant: func(f *faulty) { f.variant("ts", `RESOLUTION=320x180`, `RESOLUTION=320x192`) }},
	{rule: "multi.frame-rate", name: "29.97", plant: func(f *faulty) { f.variant("ts", `FRAME-RATE=30.000`, `FRAME-RATE=29.970`) }},
	{rule: "multi.frame-rate", name: "no decimals", plant: func(f *faulty) { f.variant("ts", `FRAME-RATE=30.000`, `FRAME-RATE=30`) }},
	{rule: "multi.video-range", name: "PQ", plant: func(f *faulty) { f.variant("ts", `VIDEO-RANGE=SDR`, `VIDEO-RANGE=PQ`) }},
	{rule: "multi.start", name: "not found", plant: func(f *faulty) { refuse(f.probe("start").Exchanges[0], http.StatusNotFound) }},
}

// variant edits the first multivariant playlist of a format, and gives it an ETag
// of its own.
func (f *faulty) variant(format, form, now string) {
	f.t.Helper()
	for _, m := range f.Multis {
		if m.Format == format {
			after := regexp.MustCompile(form).ReplaceAll(m.Body, []byte(now))
			if bytes.Equal(after, m.Body) {
				f.t.Errorf("nothing to edit in\n%s", m.Body)
			}
			m.Body = after
			m.Header.Set("Etag", `"another"`)
			return
		}
	}
	f.t.Errorf("no multivariant playlist of %s", format)
}

func (f *faulty) scale(form string) {
	m := f.Multis[0]
	m.Body = []byte(number(string(m.Body), regexp.MustCompile(form), func(n int64) int64 { return n / 2 }))
	m.Header.Set("Etag", `"another"`)
}

func set(name, value string) func(http.Header) {
	return func(h http.Header) { h.Set(name, value) }
}

// httpFaults break headers and conditional answers.
var httpFaults = []fault{
	{rule: "http.cache-object", name: "an hour", plant: func(f *faulty) { f.header("segment", set("Cache-Control", "public, max-age=3600")) }},
	{rule: "http.cache-object", name: "a part", plant: func(f *faulty) { f.header("part", set("Cache-Control", "no-cache")) }},
	{rule: "http.cache-list", name: "a whole minute", plant: func(f *faulty) { f.header("list", set("Cache-Control", "public, max-age=60")) }},
	{rule: "http.cache-list", name: "multivariant for ever", plant: func(f *faulty) { f.header("multi", set("Cache-Control", "public, max-age=31536000")) }},
	{rule: "http.cache-reload", name: "no-cache", plant: func(f *faulty) { f.header("reload", set("Cache-Control", "no-cache")) }},
	{rule: "http.cache-error", name: "nothing said", plant: func(f *faulty) { f.probe("not-found").Exchanges[0].Header.Del("Cache-Control") }},
	{rule: "http.cache-error", name: "503 without Retry-After", plant: func(f *faulty) { f.probe("reload-timeout").Exchanges[0].Header.Del("Retry-After") }},
	{rule: "http.etag", name: "weak", plant: func(f *faulty) { f.header("segment", set("Etag", `W/"x"`)) }},
	{rule: "http.etag", name: "one for two bodies", plant: func(f *faulty) {
		lists := f.Rendition("ts").Lists
		lists[6].Header.Set("Etag", lists[5].Header.Get("Etag"))
	}},
	{rule: "http.last-modified", name: "none", plant: func(f *faulty) { f.header("segment", func(h http.Header) { h.Del("Last-Modified") }) }},
	{rule: "http.last-modified", name: "the start of the stream", plant: func(f *faulty) {
		for _, l := range f.Rendition("ts").Lists[6:] {
			l.Header.Set("Last-Modified", f.Rendition("ts").Lists[0].Header.Get("Last-Modified"))
		}
	}},
	{rule: "http.length", name: "none", plant: func(f *faulty) { f.header("part", func(h http.Header) { h.Del("Content-Length") }) }},
	{rule: "http.object-type", name: "octets", plant: func(f *faulty) { f.header("segment", set("Content-Type", "application/octet-stream")) }},
	{rule: "http.cors", name: "an error without", plant: func(f *faulty) { f.probe("not-found").Exchanges[0].Header.Del("Access-Control-Allow-Origin") }},
	{rule: "http.cors", name: "with credentials", plant: func(f *faulty) { f.header("list", set("Access-Control-Allow-Credentials", "true")) }},
	{rule: "http.nosniff", name: "none", plant: func(f *faulty) { f.header("segment", func(h http.Header) { h.Del("X-Content-Type-Options") }) }},
	{rule: "http.cookies", name: "one", plant: func(f *faulty) { f.header("list", set("Set-Cookie", "session=1")) }},
	{rule: "http.vary", name: "by cookie", plant: func(f *faulty) { f.header("segment", set("Vary", "Cookie")) }},
	{rule: "http.vary", name: "nothing said", plant: func(f *faulty) { f.header("list", func(h http.Header) { h.Del("Vary") }) }},
	{rule: "http.redirect", name: "to a session", plant: func(f *faulty) {
		x := f.probe("not-found").Exchanges[0].clone()
		x.Status = http.StatusFound
		f.Probes = append(f.Probes, &Probe{Kind: "other", Target: "segment", Format: "fmp4", Exchanges: []*Exchange{x}})
	}},
	{rule: "http.objects-plain", name: "compressed", plant: func(f *faulty) { f.header("segment", set("Content-Encoding", "gzip")) }},
	{rule: "http.gzip", name: "not compressed", plant: func(f *faulty) {
		p := f.probe("gzip", "list")
		giveAs(p.Exchanges[1], p.Exchanges[0])
	}},
	{rule: "http.gzip", name: "one ETag for both", plant: func(f *faulty) {
		x := f.probe("gzip", "list").Exchanges
		x[1].Header.Set("Etag", x[0].Header.Get("Etag"))
	}, also: []string{"http.etag"}},
	{rule: "http.head", name: "another ETag", plant: func(f *faulty) { f.probe("head").Exchanges[1].Header.Set("Etag", `"x"`) }},
	{rule: "http.head", name: "not found", plant: func(f *faulty) { refuse(f.probe("head").Exchanges[1], http.StatusNotFound) }},
	{rule: "http.not-modified", name: "sent again", plant: func(f *faulty) {
		p := f.probe("conditional")
		giveAs(p.Exchanges[1], p.Exchanges[0])
	}},
	{rule: "http.not-modified", name: "without ETag", plant: func(f *faulty) { f.probe("conditional").Exchanges[1].Header.Del("Etag") }},
	{rule: "http.range", name: "other bytes", plant: func(f *faulty) {
		x := f.probe("range").Exchanges[1]
		x.Body = bytes.Clone(x.Body)
		x.Body[7] ^= 1
	}},
	{rule: "http.range", name: "416 without size", plant: func(f *faulty) { f.probe("range").Exchanges[6].Header.Del("Content-Range") }},
	{rule: "http.if-range", name: "part of another body", plant: func(f *faulty) {
		p := f.probe("if-range")
		giveAs(p.Exchanges[2], p.Exchanges[1])
	}},
	{rule: "http.preflight", name: "no Range", plant: func(f *faulty) {
		f.probe("preflight").Exchanges[0].Header.Set("Access-Control-Allow-Headers", "CMCD-Object")
	}},
	{rule: "http.query", name: "another body", plant: func(f *faulty) {
		x := f.probe("query", "segment").Exchanges[1]
		x.Body = append(bytes.Clone(x.Body), 0)
		x.Header.Set("Content-Length", strconv.Itoa(len(x.Body)))
		x.Header.Set("Etag", `"another"`)
	}},
	{rule: "http.not-found", name: "an empty list", plant: func(f *faulty) { refuse(f.probe("not-found").Exchanges[0], http.StatusServiceUnavailable) }},
	{rule: "http.gone", name: "an error of the server", plant: func(f *faulty) { refuse(f.probe("gone").Exchanges[0], http.StatusServiceUnavailable) }},
	{rule: "http.flv", name: "stored", plant: func(f *faulty) { f.probe("flv").Exchanges[0].Header.Set("Cache-Control", "public, max-age=1") }},
}
