package remux

import (
	"slices"
	"time"

	"headwater/remux/amf"
	"headwater/remux/av"
	"headwater/remux/flv"
)

// Phase is how a stream is getting on.
type Phase string

const (
	Live         Phase = "live"         // a publisher is there
	Reconnecting Phase = "reconnecting" // it has left, and may come back to the same stream
	Ended        Phase = "ended"        // nothing will be added
)

// Report is what there is to say about a stream at one moment. It is computed when
// it is asked for, from what is kept anyway.
type Report struct {
	Name     Name
	Phase    Phase
	Began    time.Time
	Left     time.Time // when its publisher left; zero while it is live
	LastPart time.Time // when the newest media came to be playable; zero before
	Config   *av.Config

	// Publisher counts since the newest publisher came; zero while there is none.
	// Total counts all of the stream's publishers.
	Publisher, Total PublisherStats
	Renders          Renders

	// Of the newest seconds of media, zero where the stream is not live or stalls.
	Bitrate   float64 // bits of tags a second
	FrameRate float64 // pictures a second
	// AVOffset is by how much the sound that arrives is ahead of the pictures
	// beside it, on the publisher's clock; nil where one of them is missing.
	AVOffset *time.Duration

	KeyFrames KeyFrames
	HLS       HLSReport
}

// KeyFrames are the distances between key frames in the media that is held; zero
// where there are not two.
type KeyFrames struct {
	Last, Min, Max time.Duration
}

// HLSReport is where a stream's playlists stand.
type HLSReport struct {
	Sequence              uint64 // EXT-X-MEDIA-SEQUENCE
	DiscontinuitySequence uint64 // EXT-X-DISCONTINUITY-SEQUENCE, of fMP4
	Target, PartTarget    time.Duration
	Listed                int           // segments in the playlist
	Window                time.Duration // their length
	Held                  int           // segments that can be fetched
	Bytes                 int64         // of their frames
}

const (
	recently = 5 * time.Second // the media that rates are measured over
	stalled  = 3 * time.Second // without a new part rates are zero
)

// Report returns what there is to say now.
func (s *Stream) Report() Report {
	r := Report{Name: s.Name, Began: s.Began, Phase: Live, Config: s.Config(), Renders: s.Renders()}
	s.mu.Lock()
	live := s.live
	r.Total = s.past
	switch {
	case live != nil:
		r.Publisher = live.Stats()
		r.Total.add(r.Publisher)
	case !s.ended.IsZero():
		r.Phase, r.Left = Ended, s.lastSeen
	default:
		r.Phase, r.Left = Reconnecting, s.lastSeen
	}
	s.mu.Unlock()
	ix := s.Index()
	r.HLS = ix.report()
	held := ix.stretches()
	r.KeyFrames = keyFrames(held)
	if len(held) > 0 {
		r.LastPart = ix.modified
	}
	if r.Phase == Live && time.Since(ix.modified) < stalled {
		r.Bitrate, r.FrameRate = rates(held)
		r.AVOffset = s.log.offset()
	}
	return r
}

// add adds the counts of another publisher.
func (p *PublisherStats) add(o PublisherStats) {
	p.VideoFrames += o.VideoFrames
	p.AudioFrames += o.AudioFrames
	p.Bytes += o.Bytes
	p.Discontinuities += o.Discontinuities
	p.Malformed += o.Malformed
	p.Unsupported += o.Unsupported
	p.OtherTracks += o.OtherTracks
	p.BeforeHeader += o.BeforeHeader
	p.Metadata += o.Metadata
	p.MetadataDropped += o.MetadataDropped
}

// MetadataJSON returns the newest onMetaData message's object as JSON, nil if there
// has been none. It is bounded, whatever the publisher sent.
func (s *Stream) MetadataJSON() []byte {
	const name = "\x02\x00\x0aonMetaData"
	tag := s.Metadata()
	if tag == nil {
		return nil
	}
	body := flv.Body(tag)
	if !isMetadata(body) {
		return nil
	}
	return amf.JSON(body[len(name):])
}

func (ix *Index) report() HLSReport {
	r := HLSReport{Target: ix.Target, PartTarget: ix.PartTarget, Listed: len(ix.Segments), Held: len(ix.held)}
	for _, s := range ix.held {
		r.Bytes += s.Bytes
	}
	for _, s := range ix.Segments {
		r.Window += s.Duration
	}
	if len(ix.Segments) > 0 {
		first := ix.Segments[0]
		tagged, sequence := first.discontinuity(FMP4)
		if r.Sequence = first.Sequence; tagged {
			sequence-- // its own tag is still in the list
		}
		r.DiscontinuitySequence = sequence
	}
	return r
}

// stretch is media without a discontinuity in it.
type stretch struct {
	video, audio *pack
	broken       bool // a discontinuity lies in front of it
}

// stretches returns all media that is held, oldest first.
func (ix *Index) stretches() []stretch {
	all := make([]stretch, 0, len(ix.held)+8)
	for _, s := range ix.held {
		all = append(all, stretch{&s.video, &s.audio, s.Discontinuity})
	}
	if ix.Open != nil {
		for i, p := range ix.Open.Parts {
			all = append(all, stretch{&p.video, &p.audio, i == 0 && ix.Open.Discontinuity})
		}
	}
	return all
}

func keyFrames(all []stretch) (k KeyFrames) {
	var last *packed
	for _, s := range all {
		if s.broken {
			last = nil
		}
		for i := range s.video.frames {
			v := &s.video.frames[i]
			if !v.key {
				continue
			}
			if last != nil {
				k.Last = v.dts - last.dts
				k.Max = max(k.Max, k.Last)
				if k.Min == 0 || k.Last < k.Min {
					k.Min = k.Last
				}
			}
			last = v
		}
	}
	return k
}

// rates measures the newest media: bits and pictures a second.
func rates(all []stretch) (bits, pictures float64) {
	newest := newestDTS(all)
	oldest := newest
	var bytes, frames int
	for _, s := range slices.Backward(all) {
		older := true
		for _, track := range []*pack{s.video, s.audio} {
			for i := range track.frames {
				f := &track.frames[i]
				if f.dts <= newest-recently {
					continue
				}
				older = false
				oldest = min(oldest, f.dts)
				bytes += int(f.size)
				if f.kind == av.Video {
					frames++
				}
			}
		}
		if older || s.broken {
			break
		}
	}
	span := (newest - oldest).Seconds()
	if span < 0.1 {
		return 0, 0
	}
	// The newest frame's own length is not in the span, one in frames is.
	pictures = max(0, float64(frames-1)) / span
	return 8 * float64(bytes) / span, pictures
}

func newestDTS(all []stretch) (newest time.Duration) {
	for _, s := range slices.Backward(all) {
		for _, track := range []*pack{s.video, s.audio} {
			if track.len() > 0 {
				newest = max(newest, track.last().dts)
			}
		}
		if newest > 0 {
			break
		}
	}
	return newest
}

// offset returns by how much audio frames are ahead of the video frame that arrived
// before them, in the mean of the newest seconds.
func (l *log) offset() *time.Duration {
	var sum time.Duration
	n, video := 0, time.Duration(-1)
	for _, f := range l.newest(recently) {
		switch {
		case f.kind == av.Video:
			video = f.dts
		case f.kind == av.Audio && video >= 0:
			sum += f.dts - video
			n++
		}
	}
	if n == 0 {
		return nil
	}
	mean := sum / time.Duration(n)
	return &mean
}

// maxNewest bounds how long appending may have to wait for newest.
const maxNewest = 2048

// newest returns the frames of the last while, in order of arrival.
func (l *log) newest(while time.Duration) []packed {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == l.first {
		return nil
	}
	last, _ := l.when(l.next - 1)
	var frames []packed
	for n := l.next; n > l.first && len(frames) < maxNewest; n-- {
		f := l.block(n - 1).frames[(n-1)%blockFrames]
		if last-f.dts > while {
			break
		}
		frames = append(frames, f)
	}
	slices.Reverse(frames)
	return frames
}

// Publisher returns who publishes now, nil while nobody does. It is for telling one
// from another.
func (s *Stream) Publisher() *Publisher {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}
