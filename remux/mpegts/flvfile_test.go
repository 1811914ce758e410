package mpegts

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"headwater/remux/av"
)

// flvStream is what a file holds, as samples.
type flvStream struct {
	config       *av.Config
	video, audio []av.Frame
}

// readFLV reads an FLV file of H.264, AAC or MP3 as an encoder made it.
func readFLV(t *testing.T, path string) *flvStream {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &flvStream{config: &av.Config{}}
	for b = b[13:]; len(b) >= 11; {
		n := int(binary.BigEndian.Uint32(b) & 0xffffff)
		stamp := time.Duration(binary.BigEndian.Uint32(b[4:])>>8|uint32(b[7])<<24) * time.Millisecond
		switch body := b[11 : 11+n]; b[0] {
		case 9:
			s.addVideo(t, stamp, body)
		case 8:
			s.addAudio(t, stamp, body)
		}
		b = b[11+n+4:]
	}
	return s
}

func (s *flvStream) addVideo(t *testing.T, stamp time.Duration, body []byte) {
	t.Helper()
	if body[0]&15 != 7 {
		t.Fatalf("video is not H.264: %#x", body[0])
	}
	switch body[1] {
	case 0:
		track, err := av.NewVideoTrack(av.H264, body[5:])
		if err != nil {
			t.Fatal(err)
		}
		s.config.Video = track
	case 1:
		offset := int32(binary.BigEndian.Uint32(body[1:])<<8) >> 8
		s.video = append(s.video, av.Frame{
			Kind: av.Video, Key: body[0]>>4 == 1, Config: s.config, Data: body[5:],
			DTS: stamp, CTS: time.Duration(offset) * time.Millisecond,
			Time: stamp.Milliseconds() * 90,
		})
	}
}

func (s *flvStream) addAudio(t *testing.T, stamp time.Duration, body []byte) {
	t.Helper()
	var data []byte
	switch body[0] >> 4 {
	case 10:
		if body[1] == 0 {
			s.setAudio(t, av.AAC, body[2:])
			return
		}
		data = body[2:]
	case 2:
		data = body[1:]
		if s.config.Audio == nil {
			s.setAudio(t, av.MP3, data)
		}
	default:
		t.Fatalf("audio format %#x", body[0])
	}
	s.appendAudio(stamp, data)
}

func (s *flvStream) setAudio(t *testing.T, codec av.Codec, record []byte) {
	t.Helper()
	track, err := av.NewAudioTrack(codec, record)
	if err != nil {
		t.Fatal(err)
	}
	s.config.Audio = track
}

// appendAudio adds a frame behind the last, by the count of samples.
func (s *flvStream) appendAudio(stamp time.Duration, data []byte) {
	a := s.config.Audio
	at := (stamp.Milliseconds()*a.Timescale + 500) / 1000
	if n := len(s.audio); n > 0 {
		at = s.audio[n-1].Time + int64(a.FrameSamples)
	}
	s.audio = append(s.audio, av.Frame{
		Kind: av.Audio, Key: true, DTS: stamp, Time: at, Config: s.config, Data: data,
	})
}

// shift moves all times by whole ticks of every track's clock.
func (s *flvStream) shift(by time.Duration) {
	for i := range s.video {
		s.video[i].DTS += by
		s.video[i].Time += by.Milliseconds() * 90
	}
	for i := range s.audio {
		s.audio[i].DTS += by
		s.audio[i].Time += by.Milliseconds() * s.config.Audio.Timescale / 1000
	}
}
