package remux

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"headwater/remux/flv"
)

// feedReport writes 25 pictures a second with a key frame every two seconds, and 50
// frames of sound a second that run ahead by 30 ms, up to a time in ms.
func feedReport(t *testing.T, p *Publisher, to int) {
	t.Helper()
	write := func(typ uint8, ts int, body []byte) {
		m := rtmpMessage{typ, uint32(ts), body}
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
	}
	header := append([]byte{0x17, 0, 0, 0, 0}, 1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 8,
		0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80)
	write(flv.TypeVideo, 0, header)
	write(flv.TypeAudio, 0, []byte{0xaf, 0, 0x12, 0x10})
	write(flv.TypeScript, 0, []byte("\x02\x00\x0aonMetaData\x08\x00\x00\x00\x01\x00\x05width\x00\x40\x74\x00\x00\x00\x00\x00\x00\x00\x00\x09"))
	for ts := 0; ts < to; ts += 40 {
		video := make([]byte, 9+1000-24)
		video[0], video[1], video[9] = 0x27, 1, 0x41
		if ts%2000 == 0 {
			video[0], video[9] = 0x17, 0x65
		}
		binary.BigEndian.PutUint32(video[5:], uint32(len(video)-9))
		write(flv.TypeVideo, ts, video)
		for _, at := range []int{ts + 20, ts + 40} {
			write(flv.TypeAudio, at, append([]byte{0xaf, 1}, make([]byte, 100-17)...))
		}
	}
}

// TestTotalCountsAll: PublisherStats.add leaves no count out.
func TestTotalCountsAll(t *testing.T) {
	var one, sum PublisherStats
	for i := range reflect.TypeFor[PublisherStats]().NumField() {
		reflect.ValueOf(&one).Elem().Field(i).SetUint(uint64(i + 1))
	}
	sum.add(one)
	if sum != one {
		t.Errorf("%+v became %+v", one, sum)
	}
}

func TestReport(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	s := p.Stream()
	if got := s.Report(); got.Phase != Live || got.Bitrate != 0 || got.HLS.Held != 0 || !got.LastPart.IsZero() {
		t.Errorf("before the first frame: %+v", got)
	}
	feedReport(t, p, 30_000)
	got := s.Report()
	if got.Phase != Live || got.Config == nil || got.Config.Video.Width != 320 || time.Since(got.LastPart) > time.Minute {
		t.Errorf("got %+v", got)
	}
	// Tags of 1000 and 100 bytes: 25 of the one and 50 of the other a second.
	if want := 8.0 * (25*1000 + 50*100); math.Abs(got.Bitrate-want) > want/50 {
		t.Errorf("%f bits a second, want %f", got.Bitrate, want)
	}
	if math.Abs(got.FrameRate-25) > 0.5 {
		t.Errorf("%f pictures a second", got.FrameRate)
	}
	if k := got.KeyFrames; k.Last != 2*time.Second || k.Min != k.Last || k.Max != k.Last {
		t.Errorf("key frames: %+v", k)
	}
	if got.AVOffset == nil || *got.AVOffset != 30*time.Millisecond {
		t.Errorf("offset %v", got.AVOffset)
	}
	if got.Publisher.VideoFrames != 750 || got.Publisher.AudioFrames != 1500 {
		t.Errorf("counted %+v", got.Publisher)
	}
	ix := s.Index()
	if h := got.HLS; h.Sequence != ix.Segments[0].Sequence || h.Listed != len(ix.Segments) || h.Held < h.Listed || h.Bytes == 0 ||
		h.Target != ix.Target || h.Window != time.Duration(h.Listed)*2*time.Second {
		t.Errorf("HLS: %+v", h)
	}
	if m := string(s.MetadataJSON()); m != `{"width":320}` || !json.Valid([]byte(m)) {
		t.Errorf("metadata %s", m)
	}
	p.Close()
	if total := s.Report().Total; total != got.Publisher {
		t.Errorf("counted %+v in all", total)
	}
	if got := s.Report(); got.Phase != Reconnecting || got.Bitrate != 0 || got.Left.IsZero() {
		t.Errorf("after Close: %+v", got)
	}
	s.expire(time.Now().Add(time.Hour))
	if got := s.Report(); got.Phase != Ended || got.KeyFrames.Last != 2*time.Second {
		t.Errorf("ended: %+v", got)
	}
}

// TestNobodyWatchesNothingRendered: a stream costs its frames and nothing else
// until somebody asks, and then each thing is made once.
func TestNobodyWatchesNothingRendered(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	s := p.Stream()
	feedReport(t, p, 30_000)
	_, _ = s.Report(), s.MetadataJSON()
	if n := s.Renders(); n.Total() != 0 {
		t.Fatalf("nobody watches, and rendered is %+v", n)
	}
	ix := s.Index()
	ask := func() {
		for _, f := range []Format{FMP4, TS} {
			if _, err := ix.Playlist(f, Ask{}); err != nil {
				t.Fatal(err)
			}
			if _, err := ix.Multivariant(f, "x"); err != nil {
				t.Fatal(err)
			}
			if _, err := ix.Object(f, segmentName(ix.epoch, ix.newest().Sequence, f)); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{partName(ix.epoch, ix.NextPart-1), initName(ix.epoch, 0)} {
			if _, err := ix.Object(FMP4, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask()
	want := Renders{Multivariants: 2, Playlists: 2, Segments: 2, Parts: 1, Inits: 1}
	if n := s.Renders(); n != want {
		t.Errorf("asked once: %+v", n)
	}
	ask()
	if n := s.Renders(); n != want {
		t.Errorf("asked twice: %+v", n)
	}
}
