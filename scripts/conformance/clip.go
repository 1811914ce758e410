package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Clip is coded media that can be repeated for ever: some whole groups of
// pictures and some audio frames, without their times. A Feed gives them times.
type Clip struct {
	VideoHeader []byte // message body; nil: no video
	Video       []Picture
	FrameRate   Rational
	reorder     int // pictures that presentation is behind decoding

	AudioHeader []byte // message body; nil: no audio, or a codec without
	Audio       [][]byte
	AudioFrame  Rational // frames a second
}

// Rational is a fraction.
type Rational struct{ Num, Den int64 }

// Picture is a video message's body.
type Picture struct {
	Body  []byte
	Key   bool
	order int // place in presentation
	cts   int // where its 3 bytes of composition time stand; 0: nowhere
}

// at is the time of frame i in ms.
func (r Rational) at(i int64) int64 {
	return (i*1000*r.Den + r.Num/2) / r.Num
}

// NewClip takes the messages of an FLV file apart. video and audio are the rates
// of frames; there must be whole groups of pictures only.
func NewClip(flv []byte, video, audio Rational) (*Clip, error) {
	c := &Clip{FrameRate: video, AudioFrame: audio}
	if len(flv) < 13 || string(flv[:3]) != "FLV" {
		return nil, errors.New("not an FLV file")
	}
	var times []int64 // presentation, of each picture
	for b := flv[13:]; len(b) >= 15; {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if len(b) < 11+n+4 {
			break
		}
		at := int64(b[7])<<24 | int64(b[4])<<16 | int64(b[5])<<8 | int64(b[6])
		body := b[11 : 11+n]
		switch b[0] {
		case msgVideo:
			if cts, ok := c.addVideo(body); ok {
				times = append(times, at+cts)
			}
		case msgAudio:
			c.addAudio(body)
		}
		b = b[11+n+4:]
	}
	return c, c.order(times)
}

// addVideo sorts a video message in and returns its composition time.
func (c *Clip) addVideo(body []byte) (cts int64, frame bool) {
	if len(body) < 5 {
		return 0, false
	}
	p := Picture{Body: body, Key: body[0]>>4&7 == 1}
	header, fourCC := body[1] == 0, ""
	if enhanced := body[0]&0x80 != 0; enhanced {
		typ := body[0] & 15
		fourCC = string(body[1:5])
		header = typ == 0
		switch {
		case typ == 1 && (fourCC == "hvc1" || fourCC == "avc1"):
			p.cts = 5
		case typ != 0 && typ != 1 && typ != 3:
			return 0, false
		}
	} else if body[1] == 1 {
		p.cts = 2
	} else if !header {
		return 0, false
	}
	if header {
		c.VideoHeader = longer(c.VideoHeader, body)
		return 0, false
	}
	if p.cts > 0 && len(body) >= p.cts+3 {
		cts = int64(int32(binary.BigEndian.Uint32(append([]byte{0}, body[p.cts:p.cts+3]...))<<8) >> 8)
	}
	c.Video = append(c.Video, p)
	return cts, true
}

// longer is b only where it says more than a: encoders begin with headers that
// have no record yet, and some repeat theirs at the end.
func longer(a, b []byte) []byte {
	if len(b) > len(a) {
		return b
	}
	return a
}

func (c *Clip) addAudio(body []byte) {
	switch {
	case len(body) < 2:
	case body[0]>>4 == 10 && body[1] == 0, body[0]>>4 == 9 && body[0]&15 == 0:
		c.AudioHeader = longer(c.AudioHeader, body)
	case body[0]>>4 == 9 && (body[0]&15 != 1 || len(body) <= 5): // neither a frame nor a header
	default:
		c.Audio = append(c.Audio, body)
	}
}

// order finds each picture's place in presentation from its time.
func (c *Clip) order(times []int64) error {
	if len(times) == 0 {
		return nil
	}
	seen := make([]bool, len(times))
	for i, at := range times {
		n := int(math.Round(float64(at-times[0]) * float64(c.FrameRate.Num) / float64(c.FrameRate.Den) / 1000))
		if n < 0 || n >= len(seen) || seen[n] {
			return fmt.Errorf("picture %d is shown at %d ms, which is place %d of %d", i, at, n, len(seen))
		}
		seen[n] = true
		c.Video[i].order = n
		c.reorder = max(c.reorder, i-n)
	}
	return nil
}

// Message is an RTMP message to come.
type Message struct {
	Kind    byte
	Time    int64 // ms, not wrapped
	Arrival int64 // when it goes out, on the same clock
	Key     bool
	Header  bool // no frame
	Body    []byte
}

// Feed gives a clip's frames their times, without end.
type Feed struct {
	Clip  *Clip
	Start int64 // ms, of the first frame: RTMP's 32 bits come from it
	// AudioEarly is how much earlier than its time audio is sent, AudioLater how
	// much later its times are than they were coded.
	AudioEarly, AudioLater time.Duration
	// VideoEnds and AudioEnds are media times from Start after which that track
	// falls silent; 0: never.
	VideoEnds, AudioEnds time.Duration
	// Cues is the time between two data messages that viewers are shown; 0: none.
	Cues time.Duration

	video, audio, cues int64 // frames so far
}

// Headers returns the messages that come first.
func (f *Feed) Headers() (all []Message) {
	if f.Clip.VideoHeader != nil {
		all = append(all, Message{Kind: msgVideo, Time: f.Start, Arrival: f.Start, Header: true, Body: f.Clip.VideoHeader})
	}
	if f.Clip.AudioHeader != nil {
		all = append(all, Message{Kind: msgAudio, Time: f.Start, Arrival: f.Start, Header: true, Body: f.Clip.AudioHeader})
	}
	return all
}

// Next returns the next message in the order in which they are to be sent.
func (f *Feed) Next() Message {
	v, hasVideo := f.picture()
	a, hasAudio := f.sound()
	if at := f.Start + (f.cues+1)*f.Cues.Milliseconds(); f.Cues > 0 && (!hasVideo || at <= v.Arrival) && (!hasAudio || at <= a.Arrival) {
		f.cues++
		return f.cue(at)
	}
	if hasVideo && (!hasAudio || v.Arrival <= a.Arrival) {
		f.video++
		return v
	}
	f.audio++
	return a
}

// cue is a cue point and, each second time, a caption.
func (f *Feed) cue(at int64) Message {
	body := appendAMF(appendAMF(nil, "onCuePoint"), []amfField{{"name", "cue"}, {"time", float64(at) / 1000}, {"type", "event"}})
	if f.cues%2 == 0 {
		body = appendAMF(appendAMF(nil, "onTextData"), []amfField{{"text", "Hello"}, {"language", "en"}})
	}
	return Message{Kind: msgData, Time: at, Arrival: at, Body: body}
}

func (f *Feed) picture() (m Message, ok bool) {
	c := f.Clip
	if len(c.Video) == 0 {
		return m, false
	}
	n := int64(len(c.Video))
	round, p := f.video/n, c.Video[f.video%n]
	dts := c.FrameRate.at(f.video)
	if f.VideoEnds > 0 && dts >= f.VideoEnds.Milliseconds() {
		return m, false
	}
	body := p.Body
	if p.cts > 0 {
		cts := uint32(c.FrameRate.at(round*n+int64(p.order+c.reorder)) - dts)
		body = append([]byte(nil), body...)
		body[p.cts], body[p.cts+1], body[p.cts+2] = byte(cts>>16), byte(cts>>8), byte(cts)
	}
	return Message{Kind: msgVideo, Time: f.Start + dts, Arrival: f.Start + dts, Key: p.Key, Body: body}, true
}

func (f *Feed) sound() (m Message, ok bool) {
	c := f.Clip
	if len(c.Audio) == 0 {
		return m, false
	}
	at := c.AudioFrame.at(f.audio)
	if f.AudioEnds > 0 && at >= f.AudioEnds.Milliseconds() {
		return m, false
	}
	at += f.Start + f.AudioLater.Milliseconds()
	return Message{Kind: msgAudio, Time: at, Arrival: at - f.AudioEarly.Milliseconds(), Key: true,
		Body: c.Audio[f.audio%int64(len(c.Audio))]}, true
}

// Skip leaves frames out up to a media time from the start, whole groups of
// pictures only: an encoder that lost its connection goes on with its clock.
func (f *Feed) Skip(to time.Duration) {
	c := f.Clip
	for len(c.Video) > 0 && (c.FrameRate.at(f.video) < to.Milliseconds() || !c.Video[f.video%int64(len(c.Video))].Key) {
		f.video++
	}
	if len(c.Video) > 0 {
		to = time.Duration(c.FrameRate.at(f.video)) * time.Millisecond
	}
	for len(c.Audio) > 0 && c.AudioFrame.at(f.audio) < to.Milliseconds() {
		f.audio++
	}
}
