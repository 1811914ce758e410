package probe

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"headwater/cmd/headwater/probe/media"
	"headwater/cmd/headwater/probe/playlist"
	"headwater/origin/checkup"
	"headwater/remux/av"
)

const (
	behind       = 3                      // segments that a player begins behind the newest
	again        = 4                      // segments that are fetched a second time, to compare
	hints        = 6                      // preload hints that are followed
	minReload    = 100 * time.Millisecond // between two requests for a playlist
	maxHoldWait  = 30 * time.Second       // for a blocking reload and a preload hint
	segmentLimit = 20 * time.Second       // for one segment
)

// watcher watches one media playlist and what it lists.
type watcher struct {
	// fixed after newWatcher
	client *client
	url    *url.URL
	prefix string // of its findings

	meter meter
	sink  segmentSink
	ts    *media.TS
	mp4   *media.MP4
	found findings
	hist  history

	list     *playlist.Playlist // newest
	next     uint64             // sequence of the segment to fetch next
	fetched  bool               // one has been
	initURL  string             // of the init section in force
	measured segmentStats
	again    int
	kind     string // container
	low      lowLatency
	cut      bool // what is fetched next does not follow what was fetched
}

func newWatcher(c *client, u *url.URL, prefix string) *watcher {
	w := &watcher{client: c, url: u, prefix: prefix}
	w.sink.meter = &w.meter
	w.ts, w.mp4 = media.NewTS(&w.sink), media.NewMP4(&w.sink)
	w.hist.known = map[uint64]known{}
	return w
}

func (w *watcher) add(code string, s checkup.Severity, text, advice string) {
	w.found.add(code, s, w.prefix+text, advice)
}

// run watches until ctx is done or there is nothing left to watch.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		asked := time.Now()
		changed, err := false, error(nil)
		if w.list == nil || !w.list.End { // what has ended does not change any more
			changed, err = w.reload(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.hist.failures++
			w.add("playlist.failed", checkup.Problem, fmt.Sprintf("The playlist could not be fetched: %v.", plain(err)), "Players give up after a few of these. The server's log says why.")
			if w.list == nil || w.hist.failures > 5 || errors.Is(err, errRequests) {
				return
			}
		}
		if w.list != nil {
			w.fetchNew(ctx)
			w.fetchAgain(ctx)
			if w.list.End && w.next >= w.list.Next() {
				return
			}
			w.followHint(ctx)
		}
		w.wait(ctx, asked, changed)
	}
}

// wait waits as long as a player does: a target duration after a change, half of one
// otherwise (rfc8216bis, 6.3.4); not at all where the server holds the answer.
func (w *watcher) wait(ctx context.Context, asked time.Time, changed bool) {
	pause := 2 * time.Second
	switch {
	case w.list == nil:
	case w.list.End: // segments are left to fetch
		pause = minReload
	case w.list.Control.CanBlock && w.list.PartTarget > 0 && changed:
		pause = minReload
	case w.list.Target > 0 && changed:
		pause = w.list.Target
	case w.list.Target > 0:
		pause = w.list.Target / 2
	}
	pause = max(pause-time.Since(asked), minReload)
	if w.list != nil && w.list.Control.CanBlock && changed {
		pause = time.Millisecond // the server waits
	}
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}

// reload fetches the playlist and compares it with the one before.
func (w *watcher) reload(ctx context.Context) (changed bool, err error) {
	u, blocking := w.question()
	within, cancel := context.WithTimeout(ctx, maxHoldWait)
	defer cancel()
	a, err := w.client.get(within, mediaList, u, "", maxPlaylist)
	if err != nil {
		return false, err
	}
	defer a.close()
	if a.status != http.StatusOK {
		if blocking {
			w.low.refused++
		}
		return false, fmt.Errorf("status %d", a.status)
	}
	text, err := io.ReadAll(a.body)
	if err != nil {
		return false, err
	}
	l, err := playlist.Parse(string(text))
	if err != nil {
		return false, err
	}
	if l.IsMultivariant() {
		return false, errors.New("it lists playlists where media should be")
	}
	for _, fault := range l.Faults {
		w.add("playlist.syntax", checkup.Warning, "The playlist is not as it must be: "+fault+".", "See rfc8216bis, section 4.")
	}
	now := time.Now()
	if blocking {
		w.low.answered(w, l, a.first)
	}
	sum := sha256.Sum256(text)
	changed = w.hist.take(w, l, sum, now)
	w.low.look(w, l)
	w.list = l
	return changed, nil
}

// question returns the URL to ask for next, and whether the answer will be held.
func (w *watcher) question() (u *url.URL, blocking bool) {
	if w.list == nil || !w.list.Control.CanBlock || w.list.End || w.low.refused > 2 || w.low.early > 5 {
		return w.url, false
	}
	c := *w.url
	q := c.Query()
	q.Set("_HLS_msn", strconv.FormatUint(w.list.Next(), 10))
	w.low.askedPart = -1
	if w.list.PartTarget > 0 {
		w.low.askedPart = len(w.list.Open)
		q.Set("_HLS_part", strconv.Itoa(len(w.list.Open)))
	}
	w.low.askedSequence = w.list.Next()
	c.RawQuery = q.Encode()
	return &c, true
}

// fetchNew fetches the segments that have come since.
func (w *watcher) fetchNew(ctx context.Context) {
	l := w.list
	if !w.fetched {
		w.fetched, w.next = true, l.Sequence
		if n := l.Next(); !l.End && len(l.Segments) > behind {
			w.next = n - behind
		}
	}
	if w.next < l.Sequence || w.next > l.Next() {
		w.next, w.cut = max(l.Sequence, l.Next()-min(l.Next(), 1)), true
	}
	for _, s := range l.Segments {
		if s.Sequence < w.next || ctx.Err() != nil {
			continue
		}
		w.next = s.Sequence + 1
		w.fetch(ctx, s)
		if l.End { // nobody waits for it: a little at a time
			return
		}
	}
}

// fetch reads one segment and measures it.
func (w *watcher) fetch(ctx context.Context, s playlist.Segment) {
	if s.Discontinuity && w.measured.count > 0 {
		w.meter.Jump()
		w.cut = true
	}
	if s.Gap {
		w.add("segment.gap", checkup.Warning, "Segments are marked as gaps: there is no media in them.", "The packager lost its source then.")
		w.cut = true
		return
	}
	if !w.fetchMap(ctx, s) {
		return
	}
	if w.cut {
		w.meter.Cut()
		w.ts.Cut()
		w.cut = false
		w.measured.broken = true
	}
	if s.Encrypted {
		w.add("media.encrypted", checkup.Info, "Segments are encrypted: pictures and sound could not be looked at.", "")
	}
	began := time.Now()
	w.sink.begin()
	sum, err := w.read(ctx, segment, s.URI, s.Range, maxSegment, !s.Encrypted)
	if err != nil {
		if ctx.Err() == nil {
			w.missing(s, err)
		}
		w.cut = true
		return
	}
	w.hist.hashed(s, sum)
	w.measured.take(w, s, time.Since(began))
}

func (w *watcher) missing(s playlist.Segment, err error) {
	if status, ok := errors.AsType[statusError](err); ok {
		w.add("segment.missing", checkup.Problem, fmt.Sprintf("A segment that the playlist lists is not there: status %d.", int(status)), "A playlist may only list what can be fetched, and segments stay for as long as the playlist after they have left it.")
		return
	}
	w.add("segment.broken", checkup.Problem, fmt.Sprintf("A segment could not be read: %v.", plain(err)), "The packager or something between it and here damages media.")
}

// fetchMap reads the init section that a segment needs, if it is a new one.
func (w *watcher) fetchMap(ctx context.Context, s playlist.Segment) bool {
	if s.Map == "" || s.Map+" "+s.MapRange == w.initURL {
		return true
	}
	if _, err := w.read(ctx, initSection, s.Map, s.MapRange, maxInit, true); err != nil {
		if ctx.Err() == nil {
			w.add("init.missing", checkup.Problem, fmt.Sprintf("The init section could not be read: %v.", plain(err)), "Without it no player can begin.")
		}
		return false
	}
	w.initURL = s.Map + " " + s.MapRange
	return true
}

type statusError int

func (s statusError) Error() string { return fmt.Sprintf("status %d", int(s)) }

// read fetches a piece of media and returns the hash of its bytes. With look the
// container's reader measures it.
func (w *watcher) read(ctx context.Context, k kind, uri, byteRange string, limit int64, look bool) (sum [32]byte, err error) {
	u, err := resolve(w.url, uri)
	if err != nil {
		return sum, err
	}
	within, cancel := context.WithTimeout(ctx, segmentLimit)
	defer cancel()
	a, err := w.client.get(within, k, u, byteRange, limit)
	if err != nil {
		return sum, err
	}
	defer a.close()
	if a.status != http.StatusOK && a.status != http.StatusPartialContent {
		return sum, statusError(a.status)
	}
	h := sha256.New()
	r := bufio.NewReaderSize(io.TeeReader(a.body, h), 64<<10)
	if look {
		err = w.demux(r)
	}
	if _, also := io.Copy(io.Discard, r); err == nil {
		err = also // a body shorter than its Content-Length, say
	}
	return [32]byte(h.Sum(nil)), err
}

func (w *watcher) demux(r *bufio.Reader) error {
	head, err := r.Peek(8)
	switch {
	case len(head) > 0 && head[0] == 0x47:
		w.kind = KindTS
		return w.ts.Read(r)
	case len(head) == 8 && head[4] >= 'a' && head[4] <= 'z':
		w.kind = "fmp4"
		return w.mp4.Read(r)
	case len(head) > 3 && (string(head[:3]) == "ID3" || head[0] == 0xff && head[1]&0xe0 == 0xe0):
		w.kind = "aac"
		return nil // packed audio (3.4): it has no times of its own
	case err == io.EOF && len(head) == 0:
		return errors.New("it is empty")
	case err != nil && err != io.EOF:
		return err
	}
	return fmt.Errorf("%w: neither MPEG-TS nor MP4", media.ErrFormat)
}

// fetchAgain fetches the oldest segment that is still listed a second time: names
// must never come to mean other bytes.
func (w *watcher) fetchAgain(ctx context.Context) {
	if w.again >= again || ctx.Err() != nil || w.measured.count < 2*w.again+3 {
		return
	}
	for _, s := range w.list.Segments {
		before, ok := w.hist.known[s.Sequence]
		if !ok || !before.hashed || before.uri != s.URI+s.Range {
			continue
		}
		w.again++
		sum, err := w.read(ctx, segment, s.URI, s.Range, maxSegment, false)
		if err == nil && sum != before.sum {
			w.add("segment.changed", checkup.Problem, "A segment has other bytes under the same name than before.", "Caches hold the old ones: names must never be used again. Put a counter that outlives restarts, or a time, into them.")
		}
		return
	}
}

// segmentSink notes where a segment begins and hands everything on.
type segmentSink struct {
	meter *meter
	video bool // a picture has been seen
	audio bool
	key   bool // the first picture was a key frame
	v, a  time.Duration
	first time.Duration // DTS of the first picture, or else sound
	any   bool
}

func (s *segmentSink) begin() {
	*s = segmentSink{meter: s.meter}
}

// Track implements media.Sink.
func (s *segmentSink) Track(kind av.Kind, t media.Track) { s.meter.setTrack(kind, t) }

// Frame implements media.Sink.
func (s *segmentSink) Frame(f media.Frame) {
	if f.Kind == av.Video && !s.video {
		s.video, s.key, s.v = true, f.Key, f.PTS
		s.first, s.any = f.DTS, true
	}
	if f.Kind == av.Audio && !s.audio {
		s.audio, s.a = true, f.PTS
		if !s.any {
			s.first, s.any = f.DTS, true
		}
	}
	s.meter.add(f)
}

// segmentStats measures segments.
type segmentStats struct {
	count          int
	min, max, sum  time.Duration // as EXTINF says
	last           playlist.Segment
	lastFirst      time.Duration
	lastAny, video bool
	broken         bool // the one before was not fetched, or does not continue
	slow           int
}

func (m *segmentStats) take(w *watcher, s playlist.Segment, took time.Duration) {
	sink := &w.sink
	m.count++
	m.sum += s.Duration
	m.max = max(m.max, s.Duration)
	if m.min == 0 || s.Duration < m.min {
		m.min = s.Duration
	}
	if took > s.Duration && s.Duration > 0 {
		m.slow++
	}
	if sink.video && !sink.key {
		w.add("segment.no_key_frame", checkup.Warning, "A segment does not begin with a key frame: players that begin or switch there show nothing at first.", "Let the encoder send a key frame every two seconds, and the packager cut at them.")
	}
	if !sink.any && !s.Encrypted && w.kind != "aac" {
		w.add("segment.empty", checkup.Problem, "A segment has no media in it.", "")
	}
	if sink.video && sink.audio {
		w.meter.Offset(sink.v, sink.a-sink.v)
	}
	if m.lastAny && sink.any && !m.broken && m.video == sink.video {
		real, said := sink.first-m.lastFirst, m.last.Duration
		if d := real - said; real > 0 && (d > 300*time.Millisecond || d < -300*time.Millisecond) {
			w.add("segment.duration", checkup.Warning, fmt.Sprintf("A segment lasts %s where EXTINF says %s.", seconds(real), seconds(said)), "Players seek and resume wrongly. EXTINF must be the length of the media in the segment.")
		}
	}
	m.last, m.lastFirst, m.lastAny, m.video, m.broken = s, sink.first, sink.any, sink.video, false
}
