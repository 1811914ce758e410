package conformance

import (
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// multiRules hold for multivariant playlists and what they say of the media.
var multiRules = []Rule{
	{"multi.leads", "HLS.md 5", "a multivariant playlist leads to its media playlist, by a relative URI", checkLeads},
	{"multi.bandwidth", "APL 1.28; bis 4.1", "no stretch of half to one and a half target durations has 125 % of BANDWIDTH", checkBandwidth},
	{"multi.average", "APL 1.29, 9.14", "AVERAGE-BANDWIDTH is there, and the stream has less than 110 % of it", checkAverage},
	{"multi.codecs", "bis 6.2.4; RFC 6381", "CODECS lists what is there, as it is", checkCodecs},
	{"multi.resolution", "bis 4.4.6.2", "RESOLUTION is the cropped size of the pictures", checkResolution},
	{"multi.frame-rate", "bis 4.4.6.2", "FRAME-RATE has three decimals and is that of the media", checkFrameRate},
	{"multi.video-range", "bis 4.4.6.2", "VIDEO-RANGE is PQ, HLG or SDR as the media says", checkVideoRange},
	{"multi.start", "CONTRACT.md", "who asks while a publisher begins is held, and answered", checkStart},
}

// spokenOf are the segments that a multivariant playlist speaks of: those of the
// run that was the newest when it was answered. Where a run began in that very
// moment it may be one or the other: none.
func (n *renditionView) spokenOf(m *Multi) (run []*entry) {
	const moment = 300 * time.Millisecond
	for i, all := range n.runs() {
		complete := all[0].first.list.Done
		switch {
		case i == 0 || complete.Before(m.Sent.Add(-moment)):
			run = all
		case complete.Before(m.Done.Add(moment)):
			return nil
		}
	}
	for _, e := range run {
		if !e.known() {
			return nil
		}
	}
	return run
}

// eachVariant calls f for the answers that speak of a run of segments.
func (v *view) eachVariant(f func(m *multiView, variant Variant, n *renditionView, run []*entry)) {
	for _, m := range v.multis {
		if m.n == nil {
			continue
		}
		if run := m.n.spokenOf(m.Multi); len(run) > 0 {
			f(m, m.m.Variants[0], m.n, run)
		}
	}
}

func checkLeads(v *view, r *report) {
	for _, m := range v.multis {
		r.want(m.n != nil && (m.Format != "ts" || m.n.Format == "ts"), "%s: variants %v", m.Path, m.m.Variants)
	}
	for _, m := range v.rec.Multis {
		n := v.format(m.Format)
		none := m.Status == http.StatusNotFound && (n == nil || len(n.states) == 0) // codecs that MPEG-TS cannot carry
		r.want(m.OK() || none, "%s: %d %s", m.Path, m.Status, m.Err)
	}
}

func (e *entry) bits() float64 { return 8 * float64(len(e.object.Body())) }

func checkBandwidth(v *view, r *report) {
	v.eachVariant(func(m *multiView, variant Variant, n *renditionView, run []*entry) {
		declared, _ := variant.Attrs.integer("BANDWIDTH")
		peak := 0.0
		target := run[0].first.m.Target
		for i := range run {
			var length time.Duration
			var bits float64
			for _, e := range run[i:] {
				if length += e.Duration; length > target*3/2 {
					break
				}
				if bits += e.bits(); length >= target/2 {
					peak = max(peak, bits/length.Seconds())
				}
			}
		}
		r.want(peak < 1.25*float64(declared), "%s: %d declared, %.0f measured", m.Path, declared, peak)
	})
}

func checkAverage(v *view, r *report) {
	v.eachVariant(func(m *multiView, variant Variant, n *renditionView, run []*entry) {
		declared, ok := variant.Attrs.integer("AVERAGE-BANDWIDTH")
		var bits, length float64
		for _, e := range run {
			bits += e.bits()
			length += e.Duration.Seconds()
		}
		r.want(ok && bits/length < 1.10*float64(declared), "%s: %d declared, %.0f measured", m.Path, declared, bits/length)
	})
}

// coded is what media says of itself.
type coded struct {
	codecs  []string
	picture *picture
}

func (c coded) String() string {
	if c.picture == nil {
		return fmt.Sprint(c.codecs)
	}
	return fmt.Sprint(c.codecs, *c.picture)
}

// coded reads the parameters of a segment: from its initialization section or,
// in a transport stream, from its first packets.
func (e *entry) coded() (c coded, err error) {
	if e.ts != nil {
		return e.ts.coded()
	}
	for _, t := range e.init.Tracks {
		name, p, err := t.codec()
		if err != nil {
			return c, err
		}
		c.codecs = append(c.codecs, name)
		if p != nil {
			c.picture = p
		}
	}
	return c, nil
}

func (t *TS) coded() (c coded, err error) {
	if video := t.track(isVideo); len(video) > 0 {
		for _, n := range byteStream(video[0].Payload) {
			if h264Type(n) == nalSPS && c.picture == nil {
				p, err := h264Picture(n)
				if err != nil {
					return c, err
				}
				c.picture = &p
				c.codecs = append(c.codecs, fmt.Sprintf("avc1.%02x%02x%02x", n[1], n[2], n[3]))
			}
		}
	}
	if audio := t.track(isAudio); len(audio) > 0 {
		switch audio[0].Type {
		case typeADTS:
			a, _, err := readADTS(audio[0].Payload)
			if err != nil {
				return c, err
			}
			c.codecs = append(c.codecs, "mp4a.40."+strconv.Itoa(a.profile))
		case typeMPEG1Audio, typeMPEG2Audio:
			c.codecs = append(c.codecs, "mp4a.40.34")
		case typeAC3:
			c.codecs = append(c.codecs, "ac-3")
		case typeEAC3:
			c.codecs = append(c.codecs, "ec-3")
		}
	}
	return c, nil
}

// codec is the RFC 6381 name of a track, and its picture.
func (t *MP4Track) codec() (string, *picture, error) {
	switch t.Entry {
	case "avc1":
		sps, _ := parameterSets(t.Boxes["avcC"])
		if len(sps) == 0 || len(sps[0]) < 4 {
			return "", nil, fmt.Errorf("no SPS in avcC")
		}
		p, err := h264Picture(sps[0])
		return fmt.Sprintf("avc1.%02x%02x%02x", sps[0][1], sps[0][2], sps[0][3]), &p, err
	case "hvc1":
		b := t.Boxes["hvcC"]
		if len(b) < 23 {
			return "", nil, fmt.Errorf("hvcC of %d bytes", len(b))
		}
		p, err := hevcPicture(hevcSets(b)[hevcSPS])
		return hevcName(b), &p, err
	case "av01":
		p, err := av1Picture(t.Boxes["av1C"])
		return av1Name(t.Boxes["av1C"]), &p, err
	case "vp09":
		return "vp09", &picture{width: t.Width, height: t.Height, transfer: 2}, nil
	case "mp4a":
		if object := objectType(t.Boxes["esds"]); object != 0x40 {
			return "mp4a.40.34", nil, nil
		}
		config := audioConfig(t.Boxes["esds"])
		if len(config) < 2 {
			return "", nil, fmt.Errorf("AudioSpecificConfig of %d bytes", len(config))
		}
		object := int(config[0] >> 3)
		if object == 31 {
			object = 32 + int(config[0]&7)<<3 + int(config[1]>>5)
		}
		return "mp4a.40." + strconv.Itoa(object), nil, nil
	case "Opus":
		return "opus", nil, nil
	case "fLaC":
		return "flac", nil, nil
	}
	return t.Entry, nil, nil
}

// hevcName is 14496-15 annex E.3.
func hevcName(b []byte) string {
	space := []string{"", "A", "B", "C"}[b[1]>>6]
	flags := uint32(0)
	for i := range 32 { // in reverse bit order
		if b[2+i/8]>>(7-i%8)&1 == 1 {
			flags |= 1 << i
		}
	}
	tier := "L"
	if b[1]&0x20 != 0 {
		tier = "H"
	}
	name := fmt.Sprintf("hvc1.%s%d.%X.%s%d", space, b[1]&31, flags, tier, b[12])
	constraints := b[6:12]
	for len(constraints) > 0 && constraints[len(constraints)-1] == 0 {
		constraints = constraints[:len(constraints)-1]
	}
	for _, c := range constraints {
		name += fmt.Sprintf(".%X", c)
	}
	return name
}

// av1Name is the mandatory part of AV1 in ISOBMFF 5.
func av1Name(b []byte) string {
	if len(b) < 3 {
		return "av01"
	}
	tier := "M"
	if b[2]&0x80 != 0 {
		tier = "H"
	}
	depth := 8
	if b[2]&0x40 != 0 {
		depth = 10
		if b[2]&0x20 != 0 {
			depth = 12
		}
	}
	return fmt.Sprintf("av01.%d.%02d%s.%02d", b[1]>>5, b[1]&31, tier, depth)
}

// MPEG-1 layer III has had several names.
var mp3Names = []string{"mp4a.40.34", "mp4a.6b", "mp4a.69"}

func sameCodec(declared, is string) bool {
	declared, is = strings.ToLower(declared), strings.ToLower(is)
	switch {
	case slices.Contains(mp3Names, is):
		return slices.Contains(mp3Names, declared)
	case strings.HasPrefix(is, "vp09"):
		return strings.HasPrefix(declared, "vp09.")
	case strings.HasPrefix(is, "av01"): // the optional fields may follow
		return declared == is || strings.HasPrefix(declared, is+".")
	}
	return declared == is
}

func checkCodecs(v *view, r *report) {
	v.eachVariant(func(m *multiView, variant Variant, n *renditionView, run []*entry) {
		c, err := run[0].coded()
		declared := strings.Split(variant.Attrs["CODECS"], ",")
		ok := err == nil && len(declared) == len(c.codecs)
		for _, is := range c.codecs {
			ok = ok && slices.ContainsFunc(declared, func(d string) bool { return sameCodec(d, is) })
		}
		r.want(ok, "%s: %q declared, %q in the media, %v", m.Path, variant.Attrs["CODECS"], c.codecs, err)
	})
}

func checkResolution(v *view, r *report) {
	v.eachVariant(func(m *multiView, variant Variant, n *renditionView, run []*entry) {
		want := ""
		if c, err := run[0].coded(); err == nil && c.picture != nil {
			want = fmt.Sprintf("%dx%d", c.picture.width, c.picture.height)
		}
		r.want(variant.Attrs["RESOLUTION"] == want, "%s: %q declared, %q in the media", m.Path, variant.Attrs["RESOLUTION"], want)
	})
}

var threeDecimals = regexp.MustCompile(`^[0-9]+\.[0-9]{3}$`)

// checkFrameRate counts pictures over a run.
func checkFrameRate(v *view, r *report) {
	const off = 0.0008 // of the rate: 29.97 and 30 are a thousandth apart
	v.eachVariant(func(m *multiView, variant Variant, n *renditionView, run []*entry) {
		frames, measured := frameRate(run)
		said, there := variant.Attrs["FRAME-RATE"]
		if frames == 0 {
			r.want(!there, "%s: FRAME-RATE %s without a picture", m.Path, said)
			return
		}
		rate, _ := strconv.ParseFloat(said, 64)
		r.want(threeDecimals.MatchString(said) && math.Abs(rate-measured) <= off*measured, "%s: %q declared, %.3f measured", m.Path, said, measured)
	})
}

// frameRate counts the pictures between the first segment's start and the last
// one's.
func frameRate(run []*entry) (frames int, rate float64) {
	all := spans(run)
	counted, length := 0, time.Duration(0)
	for i, s := range all {
		if s != nil && i > 0 && all[0] != nil && run[i].pictures() > 0 {
			counted, length = frames, s.start-all[0].start
		}
		frames += run[i].pictures()
	}
	if length == 0 && all[0] != nil {
		counted, length = frames, all[0].end-all[0].start
	}
	return frames, float64(counted) / length.Seconds()
}

func (e *entry) pictures() (n int) {
	if e.ts != nil {
		return len(e.ts.track(isVideo))
	}
	if t := e.init.Track("vide"); t != nil {
		for _, run := range e.mp4.Runs(t.ID) {
			n += len(run.Samples)
		}
	}
	return n
}

func checkVideoRange(v *view, r *report) {
	v.eachVariant(func(m *multiView, variant Variant, n *renditionView, run []*entry) {
		c, err := run[0].coded()
		said, there := variant.Attrs["VIDEO-RANGE"]
		if err != nil || c.picture == nil {
			r.want(!there, "%s: VIDEO-RANGE %s without a picture", m.Path, said)
			return
		}
		want := "SDR"
		switch c.picture.transfer {
		case 16:
			want = "PQ"
		case 18:
			want = "HLG"
		}
		r.want(said == want || !there && want == "SDR", "%s: %q declared, %s in the media", m.Path, said, want)
	})
}

func checkStart(v *view, r *report) {
	v.each("start", func(p *Probe) {
		for _, x := range p.Exchanges {
			r.want(x.Status == http.StatusOK, "%s: %d after %v", x.Path, x.Status, x.Took())
		}
	})
}
