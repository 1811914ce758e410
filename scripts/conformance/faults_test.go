//go:build e2e

package conformance

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fault is a defect that is planted in a copy of a good recording. rule has to
// complain, and those in also may, because one thing cannot be wrong without the
// other; no other rule may.
type fault struct {
	rule  string
	name  string
	plant func(f *faulty)
	also  []string
}

// faulty is a recording in the making. Edits of one thing are made wherever that
// thing occurs, so that nothing else becomes wrong by them.
type faulty struct {
	t *testing.T
	*Recording
	v *view // of the recording as it was
}

// plantFaults wants each fault to be found, and by its own rule. before are rules
// that the recording breaks without any.
func plantFaults(t *testing.T, rec *Recording, before []string) {
	planted := map[string]bool{}
	v := newView(rec)
	for _, f := range slices.Concat(listFaults, historyFaults, tsFaults, mp4Faults, partFaults, reloadFaults, multiFaults, httpFaults) {
		planted[f.rule] = true
		if slices.Contains(before, f.rule) {
			continue
		}
		t.Run(strings.ReplaceAll(f.rule+" "+f.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			c := rec.Clone()
			f.plant(&faulty{t, c, v})
			r := Check(c)
			found := false
			for _, id := range r.Broken() {
				found = found || id == f.rule
				if id != f.rule && !slices.Contains(f.also, id) && !slices.Contains(before, id) {
					t.Errorf("%s complains too", id)
				}
			}
			if !found {
				t.Error("the rule does not complain")
			}
			if t.Failed() {
				t.Logf("\n%s", r)
			}
		})
	}
	for _, r := range Rules() {
		if !planted[r.ID] {
			t.Errorf("no fault shows that rule %s can complain", r.ID)
		}
	}
}

// text edits a playlist wherever it was answered; f returns it unchanged where
// there is nothing to edit.
func (f *faulty) text(format string, edit func(string) string) {
	f.t.Helper()
	edited := 0
	one := func(x *Exchange) {
		if x.Status != http.StatusOK || len(x.Body) == 0 {
			return
		}
		body, packed := x.Body, x.Header.Get("Content-Encoding") == "gzip"
		if packed {
			body, _ = gunzip(body)
		}
		after := []byte(edit(string(body)))
		if bytes.Equal(after, body) {
			return
		}
		edited++
		x.Body = after
		if packed {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(after)
			_ = z.Close() // into memory
			x.Body = b.Bytes()
		}
	}
	for _, l := range f.Rendition(format).Lists {
		one(&l.Exchange)
	}
	for _, p := range f.Probes {
		for _, x := range p.Exchanges {
			if p.Target == "list" && p.Format == format {
				one(x)
			}
		}
	}
	if edited == 0 {
		f.t.Error("nothing to edit")
	}
}

// texts edits the playlists of both formats.
func (f *faulty) texts(edit func(string) string) {
	f.t.Helper()
	f.text("fmp4", edit)
	f.text("ts", edit)
}

// only is an edit of the playlists that are the same as one state's.
func only(s *state, edit func(string) string) func(string) string {
	was := string(s.list.Body)
	return func(text string) string {
		if text == was {
			return edit(text)
		}
		return text
	}
}

func replace(old, now string) func(string) string {
	return func(text string) string { return strings.ReplaceAll(text, old, now) }
}

func behind(line, more string) func(string) string {
	return func(text string) string { return strings.Replace(text, line, line+more, 1) }
}

// middle is a state of the first session with a full window, and nothing special
// about it.
func (f *faulty) middle(format string) *state {
	f.t.Helper()
	return f.state(format, func(s *state) bool { return true })
}

// state is the first one, behind the first segment's leaving, that is as wanted.
func (f *faulty) state(format string, want func(*state) bool) *state {
	f.t.Helper()
	n := f.v.format(format)
	for i, s := range n.states {
		if i > 0 && (format == "ts" || !n.news(s)) && s.full.Sequence > n.states[0].full.Sequence+1 && s.m.Skipped == 0 && s.full.DiscontinuitySequence == n.states[0].full.DiscontinuitySequence && want(s) {
			return s
		}
	}
	f.t.Fatalf("no such state of %s", format)
	return nil
}

// news says whether a state is the first one to list a segment: what it says is
// compared with more.
func (n *renditionView) news(s *state) bool {
	return slices.ContainsFunc(n.entries, func(e *entry) bool { return e.first == s })
}

// entry is the i-th segment of the first session.
func (f *faulty) entry(format string, i int) *entry {
	f.t.Helper()
	return f.v.format(format).entries[i]
}

// quiet is a segment that no probe asked for, far enough from both ends.
func (f *faulty) quiet(format string) *entry {
	f.t.Helper()
	n := f.v.format(format)
	for i, e := range n.entries {
		if i > 4 && e.whole == (format == "fmp4") && e.known() && e.DSN == n.entries[0].DSN && !f.probed(n, e) {
			return e
		}
	}
	f.t.Fatal("no such segment")
	return nil
}

func (f *faulty) probed(n *renditionView, e *entry) bool {
	names := []string{resolve(n.Path, e.URI)}
	for _, p := range e.parts {
		names = append(names, resolve(n.Path, p.URI))
	}
	for _, p := range f.Probes {
		for _, x := range p.Exchanges {
			path, _, _ := strings.Cut(x.Path, "?")
			if slices.Contains(names, path) {
				return true
			}
		}
	}
	return false
}

// body changes an object wherever it was answered whole.
func (f *faulty) body(format, uri string, edit func([]byte) []byte) {
	f.t.Helper()
	n := f.Rendition(format)
	o := n.Objects[resolve(n.Path, uri)]
	if o == nil || o.Body() == nil {
		f.t.Fatalf("no object %s", uri)
	}
	was := o.Body()
	now := edit(bytes.Clone(was))
	if bytes.Equal(was, now) {
		f.t.Fatalf("%s: nothing was edited", uri)
	}
	for _, x := range o.Gets {
		if x.OK() && bytes.Equal(x.Body, was) {
			x.Body = now
			x.Header.Set("Content-Length", strconv.Itoa(len(now)))
		}
	}
	path := resolve(n.Path, uri)
	f.Probes = slices.DeleteFunc(f.Probes, func(p *Probe) bool { // they are of the object as it was
		return p.Kind != "not-found" && slices.ContainsFunc(p.Exchanges, func(x *Exchange) bool {
			asked, _, _ := strings.Cut(x.Path, "?")
			return asked == path
		})
	})
}

// fragment changes a part and the same bytes in its segment. edit gets the part.
func (f *faulty) fragment(e *entry, i int, edit func([]byte, *Fragment) []byte) {
	f.t.Helper()
	n := f.Rendition("fmp4")
	at := 0
	for _, p := range e.parts[:i] {
		at += len(n.Objects[resolve(n.Path, p.URI)].Body())
	}
	part := n.Objects[resolve(n.Path, e.parts[i].URI)].Body()
	now := edit(bytes.Clone(part), ReadMP4(part).Fragments[0])
	f.body("fmp4", e.parts[i].URI, func([]byte) []byte { return now })
	f.body("fmp4", e.URI, func(b []byte) []byte { return slices.Concat(b[:at], now, b[at+len(part):]) })
}

// packets changes one MPEG-TS segment.
func (f *faulty) packets(e *entry, edit func(b []byte, ts *TS)) {
	f.t.Helper()
	f.body("ts", e.URI, func(b []byte) []byte {
		edit(b, e.ts)
		return b
	})
}

// allPackets changes all segments.
func (f *faulty) allPackets(edit func(b []byte, ts *TS)) {
	f.t.Helper()
	for _, e := range f.v.format("ts").entries {
		if e.ts != nil {
			f.packets(e, edit)
		}
	}
}

func packet(b []byte, i int) []byte { return b[i*packetSize : (i+1)*packetSize] }

// payloadAt is where the payload of a transport packet begins.
func payloadAt(p []byte) int {
	if p[3]&0x20 == 0 {
		return 4
	}
	return 5 + int(p[4])
}

// pmt edits the PMT's section, its pointer field and CRC left out, and makes it
// whole again.
func pmt(b []byte, ts *TS, edit func(section []byte) []byte) {
	p := packet(b, 1)
	at := payloadAt(p) + 1
	n := 3 + int(p[at+1]&0x0f)<<8 + int(p[at+2])
	s := edit(bytes.Clone(p[at : at+n-4]))
	s[1], s[2] = s[1]&0xf0|byte((len(s)+1)>>8), byte(len(s)+1)
	s = binary.BigEndian.AppendUint32(s, crcMPEG(s))
	copy(p[at:], s)
}

// nal is where the first NAL unit of that type stands in a transport packet's
// bytes, which holds its start code.
func nal(t *testing.T, b []byte, from int, typ byte) int {
	t.Helper()
	for i := from; i+3 < len(b); i++ {
		if b[i] == 0 && b[i+1] == 0 && b[i+2] == 1 && b[i+3]&0x1f == typ {
			return i + 3
		}
	}
	t.Fatalf("no NAL unit of type %d", typ)
	return 0
}

// pictures of a transport stream.
func pictures(ts *TS) []*PES { return ts.track(isVideo) }

// header changes the header of the first answer about a target.
func (f *faulty) header(target string, edit func(http.Header)) {
	f.t.Helper()
	edit(f.plain(target).Header)
}

// plain is an answer that nothing else is compared with.
func (f *faulty) plain(target string) *Exchange {
	f.t.Helper()
	switch target {
	case "list":
		return &f.Rendition("ts").Lists[5].Exchange
	case "reload":
		for _, l := range f.Rendition("fmp4").Lists[5:] {
			if strings.Contains(l.Path, "_HLS_msn") && l.OK() {
				return &l.Exchange
			}
		}
	case "multi":
		return &f.Multis[0].Exchange
	case "segment", "part":
		e := f.quiet("fmp4")
		uri := e.URI
		if target == "part" {
			uri = e.parts[1].URI
		}
		n := f.Rendition("fmp4")
		return n.Objects[resolve(n.Path, uri)].Gets[0]
	}
	f.t.Fatalf("no answer about %s", target)
	return nil
}

// probe is the first one of a kind, about that target if one is given.
func (f *faulty) probe(kind string, target ...string) *Probe {
	f.t.Helper()
	for _, p := range f.Probes {
		if p.Kind == kind && (len(target) == 0 || p.Target == target[0]) {
			return p
		}
	}
	f.t.Fatalf("no probe %s", kind)
	return nil
}

// refuse turns an answer into a negative one, with all that belongs to it.
func refuse(x *Exchange, status int) {
	x.Status, x.Body = status, []byte("no\n")
	for _, name := range []string{"Etag", "Last-Modified", "Content-Length", "Vary", "Accept-Ranges", "Content-Range"} {
		x.Header.Del(name)
	}
	x.Header.Set("Content-Type", "text/plain")
	x.Header.Set("Cache-Control", "public, max-age=1")
	if status == http.StatusServiceUnavailable {
		x.Header.Set("Cache-Control", "no-store")
		x.Header.Set("Retry-After", "1")
	}
}

// giveAs gives an exchange the body of another one, with its headers.
func giveAs(x, with *Exchange) {
	x.Status, x.Body, x.Header = with.Status, with.Body, with.Header.Clone()
}

// delay makes an answer come later.
func delay(x *Exchange, by time.Duration) { x.First, x.Done = x.First.Add(by), x.Done.Add(by) }

// blocks splits a playlist into its header, its entries, each up to its URI, and
// what stands behind them.
func blocks(text string) (head string, entries []string, tail string) {
	lines := strings.SplitAfter(text, "\n")
	from := 0
	for from < len(lines) && !strings.HasPrefix(lines[from], "#EXT-X-PROGRAM-DATE-TIME") && !strings.HasPrefix(lines[from], "#EXTINF") &&
		!strings.HasPrefix(lines[from], "#EXT-X-DISCONTINUITY\n") && !strings.HasPrefix(lines[from], "#EXT-X-MAP") {
		from++
	}
	head = strings.Join(lines[:from], "")
	for i := from; i < len(lines); i++ {
		if lines[i] != "" && lines[i][0] != '#' && lines[i] != "\n" {
			entries = append(entries, strings.Join(lines[from:i+1], ""))
			from = i + 1
		}
	}
	return head, entries, strings.Join(lines[from:], "")
}

var sequenceTag = regexp.MustCompile(`(#EXT-X-MEDIA-SEQUENCE:)([0-9]+)`)

// number changes the number that form captures second.
func number(text string, form *regexp.Regexp, edit func(int64) int64) string {
	return form.ReplaceAllStringFunc(text, func(s string) string {
		m := form.FindStringSubmatch(s)
		n, _ := strconv.ParseInt(m[2], 10, 64)
		return m[1] + strconv.FormatInt(edit(n), 10)
	})
}

var dsnTag = regexp.MustCompile(`(#EXT-X-DISCONTINUITY-SEQUENCE:)([0-9]+)`)

// trim removes entries from the front until keep are left, as a server would.
func trim(text string, keep int) string {
	head, entries, tail := blocks(text)
	gone := max(0, len(entries)-keep)
	tags := strings.Count(strings.Join(entries[:gone], ""), "#EXT-X-DISCONTINUITY\n")
	head = number(head, sequenceTag, func(n int64) int64 { return n + int64(gone) })
	head = number(head, dsnTag, func(n int64) int64 { return n + int64(tags) })
	return head + strings.Join(entries[gone:], "") + tail
}

// extinf changes a segment's EXTINF.
func extinf(text, uri string, by time.Duration) string {
	form := regexp.MustCompile(`#EXTINF:([0-9.]+)(,[^\n]*\n` + regexp.QuoteMeta(uri) + `\n)`)
	return form.ReplaceAllStringFunc(text, func(s string) string {
		m := form.FindStringSubmatch(s)
		return "#EXTINF:" + add(m[1], by) + m[2]
	})
}

// stretch changes a part's DURATION.
func stretch(text, uri string, by time.Duration) string {
	form := regexp.MustCompile(`(#EXT-X-PART:DURATION=)([0-9.]+)(,URI="` + regexp.QuoteMeta(uri) + `")`)
	return form.ReplaceAllStringFunc(text, func(s string) string {
		m := form.FindStringSubmatch(s)
		return m[1] + add(m[2], by) + m[3]
	})
}

func add(number string, by time.Duration) string {
	d, decimals, _ := parseSeconds(number)
	return strconv.FormatFloat((d + by).Seconds(), 'f', decimals, 64)
}

var timeTag = regexp.MustCompile(`#EXT-X-PROGRAM-DATE-TIME:([^\n]+)`)

// shiftTimes moves the times that are as wanted.
func shiftTimes(text string, by func(time.Time) time.Duration) string {
	return timeTag.ReplaceAllStringFunc(text, func(s string) string {
		at, err := time.Parse(time.RFC3339Nano, strings.TrimPrefix(s, "#EXT-X-PROGRAM-DATE-TIME:"))
		if err != nil {
			return s
		}
		return "#EXT-X-PROGRAM-DATE-TIME:" + at.Add(by(at)).Format("2006-01-02T15:04:05.000Z")
	})
}
