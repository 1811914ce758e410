package conformance

import (
	"fmt"
	"time"
)

// tsVideoRules hold for H.264 in MPEG-TS.
var tsVideoRules = []Rule{
	{"ts.delimiter", "ISO 13818-1 2.14.1", "exactly one access unit delimiter, first in each access unit", checkDelimiter},
	{"ts.parameter-sets", "APL 1.10", "SPS and PPS in front of each IDR picture", checkParameterSets},
	{"ts.starts-idr", "APL 7.4", "a segment's first picture is an IDR picture", checkStartsIDR},
	{"ts.random-access", "ISO 13818-1 2.4.3.5", "random_access_indicator at each IDR picture and nowhere else", checkRandomAccess},
	{"ts.video-times", "ISO 13818-1 2.4.3.7", "each picture has a PTS, not before its DTS", checkVideoTimes},
	{"ts.video-steps", "APL 7.3", "pictures follow each other without gap or overlap, over the joint too", checkVideoSteps},
}

// tsAudioRules hold for audio in MPEG-TS.
var tsAudioRules = []Rule{
	{"ts.audio-length", "HLS.md 2", "PES packets of audio say how long they are", checkAudioLength},
	{"ts.adts", "ISO 13818-7 6.2", "ADTS frames fill each PES packet and never change their parameters", checkADTS},
	{"ts.audio-steps", "HLS.md 2", "audio times step by the sample count, over the joint too", checkAudioSteps},
	{"ts.cut", "HLS.md 2", "audio and video are cut at the same time", checkTSCut},
}

// unit is what is in an H.264 access unit.
type unit struct {
	types []byte
	idr   bool
}

func accessUnit(p *PES) (u unit) {
	for _, n := range byteStream(p.Payload) {
		u.types = append(u.types, h264Type(n))
		u.idr = u.idr || h264Type(n) == nalIDR
	}
	return u
}

func (v *view) eachPicture(f func(e *entry, i int, p *PES, u unit)) {
	v.eachRead("ts", func(e, _ *entry) {
		for i, p := range e.ts.track(isVideo) {
			f(e, i, p, accessUnit(p))
		}
	})
}

func checkDelimiter(v *view, r *report) {
	v.eachPicture(func(e *entry, i int, p *PES, u unit) {
		n := 0
		for _, t := range u.types {
			if t == nalAUD {
				n++
			}
		}
		r.want(n == 1 && u.types[0] == nalAUD, "%s: picture %d has the NAL units %v", e.URI, i, u.types)
	})
}

func checkParameterSets(v *view, r *report) {
	v.eachPicture(func(e *entry, i int, p *PES, u unit) {
		if !u.idr {
			return
		}
		sps, pps, ok := false, false, false
		for _, t := range u.types {
			sps, pps = sps || t == nalSPS, pps || t == nalPPS
			if t == nalIDR {
				ok = sps && pps
				break
			}
		}
		r.want(ok, "%s: picture %d has the NAL units %v", e.URI, i, u.types)
	})
}

func checkStartsIDR(v *view, r *report) {
	v.eachRead("ts", func(e, _ *entry) {
		if video := e.ts.track(isVideo); len(video) > 0 {
			r.want(accessUnit(video[0]).idr, "%s begins with the NAL units %v", e.URI, accessUnit(video[0]).types)
		}
	})
}

func checkRandomAccess(v *view, r *report) {
	v.eachPicture(func(e *entry, i int, p *PES, u unit) {
		r.want(p.RandomAccess == u.idr, "%s: picture %d: random_access_indicator is %v, IDR %v", e.URI, i, p.RandomAccess, u.idr)
	})
}

func checkVideoTimes(v *view, r *report) {
	v.eachPicture(func(e *entry, i int, p *PES, u unit) {
		r.want(p.HasPTS && since(p.PTS, p.DTS) >= 0, "%s: picture %d: PTS %d (there: %v), DTS %d", e.URI, i, p.PTS, p.HasPTS, p.DTS)
	})
}

// checkVideoSteps knows that the streams it is given have a constant rate.
func checkVideoSteps(v *view, r *report) {
	n := v.format("ts")
	if n == nil {
		return
	}
	for _, run := range n.mediaRuns() {
		var steps []int64
		var where []string
		var last *PES
		for _, e := range run {
			for i, p := range e.ts.track(isVideo) {
				if last != nil {
					steps = append(steps, since(p.DTS, last.DTS))
					where = append(where, fmt.Sprintf("%s: picture %d", e.URI, i))
				}
				last = p
			}
		}
		frame := median(steps)
		for i, step := range steps {
			r.want(frame/2 < step && step < frame*3/2, "%s is decoded %d ticks of 90 kHz after the one before, usual are %d", where[i], step, frame)
		}
	}
}

func checkAudioLength(v *view, r *report) {
	v.eachRead("ts", func(e, _ *entry) {
		for _, p := range e.ts.track(isAudio) {
			r.want(p.Announced == p.Carried && p.HasPTS, "%s: packet %d: says %d bytes and has %d", e.URI, p.First, p.Announced, p.Carried)
		}
	})
}

// adts is what an ADTS header says (ISO 13818-7 6.2).
type adts struct {
	profile, rate, channels int
}

func (a adts) String() string {
	return fmt.Sprintf("profile %d, %d Hz, %d channels", a.profile, a.rate, a.channels)
}

var adtsRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// readADTS counts the frames that fill b.
func readADTS(b []byte) (first adts, frames int, err error) {
	for len(b) > 0 {
		if len(b) < 7 || b[0] != 0xff || b[1]&0xf6 != 0xf0 {
			return first, frames, fmt.Errorf("no ADTS header at % x", b[:min(7, len(b))])
		}
		length := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
		index := int(b[2] >> 2 & 15)
		if index >= len(adtsRates) || length < 8 || length > len(b) {
			return first, frames, fmt.Errorf("an ADTS frame of %d bytes, rate %d", length, index)
		}
		a := adts{int(b[2]>>6) + 1, adtsRates[index], int(b[2]&1)<<2 | int(b[3]>>6)}
		if frames > 0 && a != first {
			return first, frames, fmt.Errorf("%v behind %v", a, first)
		}
		first, b = a, b[length:]
		frames++
	}
	return first, frames, nil
}

// audioLength is how long an ADTS PES packet lasts; 0 for other codecs.
func audioLength(p *PES) time.Duration {
	a, frames, err := readADTS(p.Payload)
	if p.Type != typeADTS || err != nil || frames == 0 {
		return 0
	}
	return time.Duration(frames) * 1024 * time.Second / time.Duration(a.rate)
}

// checkADTS also holds the headers against what fMP4 says of the same sound.
func checkADTS(v *view, r *report) {
	var was *adts
	v.eachRead("ts", func(e, prev *entry) {
		if prev == nil {
			was = nil
		}
		if a, ok := e.firstADTS(); ok {
			if track := v.soundTrack(e.MSN); track != nil {
				r.want(a.rate == int(track.Rate) && a.channels == track.Channels, "%s: %v, fMP4 says %d Hz, %d channels", e.URI, a, track.Rate, track.Channels)
			}
		}
		for _, p := range e.ts.track(isAudio) {
			if p.Type != typeADTS {
				continue
			}
			a, frames, err := readADTS(p.Payload)
			r.want(err == nil && frames > 0, "%s: packet %d: %v", e.URI, p.First, err)
			if was != nil {
				r.want(a == *was, "%s: packet %d: %v behind %v", e.URI, p.First, a, *was)
			}
			was = &a
		}
	})
}

func (e *entry) firstADTS() (a adts, ok bool) {
	all := e.ts.track(isAudio)
	if len(all) == 0 || all[0].Type != typeADTS {
		return a, false
	}
	a, _, err := readADTS(all[0].Payload)
	return a, err == nil
}

// soundTrack is that of a segment in fMP4, if it is AAC at its own rate.
func (v *view) soundTrack(msn uint64) *MP4Track {
	n := v.format("fmp4")
	if n == nil {
		return nil
	}
	e := n.find(msn)
	if e == nil || e.init == nil {
		return nil
	}
	if t := e.init.Track("soun"); t != nil && t.Entry == "mp4a" && t.Rate == t.Timescale {
		return t
	}
	return nil
}

// checkAudioSteps: a PES packet begins where the one before it ended, to the tick
// that 90 kHz rounds to.
func checkAudioSteps(v *view, r *report) {
	const rounding = 2
	var last *PES
	v.eachRead("ts", func(e, prev *entry) {
		if prev == nil {
			last = nil
		}
		for _, p := range e.ts.track(isAudio) {
			if last != nil {
				if length := audioLength(last); length > 0 {
					off := since(p.PTS, last.PTS) - int64(length*90000/time.Second)
					r.want(-rounding <= off && off <= rounding, "%s: packet %d: begins %d ticks of 90 kHz off where the one before ends", e.URI, p.First, off)
				}
			}
			last = p
		}
	})
}

// apart is how far audio and video may be apart at the beginning of a segment:
// some frames of audio in one PES packet.
const apart = 150 * time.Millisecond

func checkTSCut(v *view, r *report) {
	v.eachRead("ts", func(e, prev *entry) {
		video, audio := e.ts.track(isVideo), e.ts.track(isAudio)
		if prev == nil || len(video) == 0 || len(prev.ts.track(isAudio)) == 0 {
			return // where a publisher begins its tracks is its own business
		}
		if len(audio) == 0 {
			r.want(e.Duration < 300*time.Millisecond, "%s has no sound", e.URI)
			return
		}
		skew := clock90(since(audio[0].PTS, video[0].DTS))
		r.want(skew.Abs() <= apart, "%s: sound begins %v after the picture", e.URI, skew)
	})
}
