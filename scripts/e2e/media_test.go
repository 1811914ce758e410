//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// packet is one coded frame as a demuxer hands it out.
type packet struct {
	pts, dts time.Duration
	pos      int64 // byte offset in the file
	key      bool
	hash     string // of the frame without what a container adds to it
}

// track is the packets of one elementary stream in file order.
type track []packet

// ffmpeg runs ffmpeg and returns its standard output. Anything it says at level
// error or above is an error, also when it exits with 0.
func ffmpeg(args ...string) ([]byte, error) {
	return quiet("ffmpeg", append([]string{"-hide_banner", "-nostdin", "-v", "error"}, args...)...)
}

func quiet(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if said := strings.TrimSpace(stderr.String()); err == nil && said != "" {
		err = errors.New("it complained")
	}
	if err != nil {
		return stdout.Bytes(), fmt.Errorf("%s %s: %w\n%.2000s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.Bytes(), nil
}

// capture is what a media file holds.
type capture struct {
	file         string
	video, audio track // empty where the file has none
}

// readCapture reads a media file's first video and first audio stream: times
// and positions from ffprobe, hashes from ffmpeg after what containers add (AUD,
// repeated parameter sets, ADTS headers, start codes or lengths) was taken off.
func readCapture(file string) (capture, error) {
	c := capture{file: file}
	out, err := quiet("ffprobe", "-v", "error", "-show_entries",
		"packet=codec_type,pts_time,dts_time,pos,flags", "-of", "csv=p=0", file)
	if err != nil {
		return c, err
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), ",")
		if len(f) < 5 {
			continue
		}
		p := packet{key: strings.HasPrefix(f[4], "K")}
		if p.pts, err = parseSeconds(f[1]); err != nil {
			return c, fmt.Errorf("read %s: pts of %q: %w", file, line, err)
		}
		if p.dts, err = parseSeconds(f[2]); err != nil {
			return c, fmt.Errorf("read %s: dts of %q: %w", file, line, err)
		}
		if p.pos, err = strconv.ParseInt(f[3], 10, 64); err != nil {
			p.pos = -1 // a second audio frame in a PES packet has none
		}
		if f[0] == "video" {
			c.video = append(c.video, p)
		} else {
			c.audio = append(c.audio, p)
		}
	}
	return c, c.addHashes()
}

func (c capture) addHashes() error {
	args := []string{"-copyts", "-i", c.file}
	if len(c.video) > 0 {
		args = append(args, "-map", "0:v:0", "-bsf:v", "h264_mp4toannexb,filter_units=remove_types=7-9")
	}
	if len(c.audio) > 0 {
		args = append(args, "-map", "0:a:0")
	}
	out, err := ffmpeg(append(args, "-c", "copy", "-copyinkf", "-bsf:a", "aac_adtstoasc", "-f", "framemd5", "-")...)
	if err != nil && len(c.audio) > 0 && strings.Contains(err.Error(), "not supported by the bitstream filter") {
		out, err = ffmpeg(append(args, "-c", "copy", "-copyinkf", "-f", "framemd5", "-")...) // not AAC
	}
	if err != nil {
		return err
	}
	tracks := []track{c.video, c.audio}
	if len(c.video) == 0 {
		tracks = tracks[1:]
	}
	seen := make([]int, len(tracks))
	for _, f := range frameHashes(out) {
		i, _ := strconv.Atoi(f.stream)
		if i >= len(tracks) || seen[i] >= len(tracks[i]) {
			return fmt.Errorf("read %s: ffmpeg finds more packets than ffprobe", c.file)
		}
		tracks[i][seen[i]].hash = f.hash
		seen[i]++
	}
	for i, n := range seen {
		if n != len(tracks[i]) {
			return fmt.Errorf("read %s: ffmpeg finds %d packets in stream %d, ffprobe %d", c.file, n, i, len(tracks[i]))
		}
	}
	return nil
}

type frameHash struct{ stream, hash string }

// frameHashes reads the output of ffmpeg's framemd5 muxer.
func frameHashes(out []byte) (all []frameHash) {
	for line := range strings.Lines(string(out)) {
		f := strings.Split(line, ",")
		if strings.HasPrefix(line, "#") || len(f) < 6 {
			continue
		}
		all = append(all, frameHash{strings.TrimSpace(f[0]), strings.TrimSpace(f[5])})
	}
	return all
}

// pictures decodes the first video stream of a file or URL and returns the hash
// of every picture, in display order. args stand before -i.
func pictures(input string, args ...string) ([]string, error) {
	args = append(args, "-i", input, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-")
	out, err := ffmpeg(append([]string{"-xerror"}, args...)...)
	var hashes []string
	for _, f := range frameHashes(out) {
		hashes = append(hashes, f.hash)
	}
	return hashes, err
}

// decode decodes everything in a file and returns an error if ffmpeg says
// anything at all.
func decode(file string) error {
	_, err := ffmpeg("-xerror", "-i", file, "-map", "0", "-f", "null", "-")
	return err
}

func parseSeconds(s string) (time.Duration, error) {
	f, err := parseFloat(s)
	return time.Duration(f*1e6+0.5*sign(f)) * time.Microsecond, err
}

func sign(f float64) float64 {
	if f < 0 {
		return -1
	}
	return 1
}

// unique says whether every packet can be told from every other.
func (tr track) unique() error {
	seen := map[string]int{}
	for i, p := range tr {
		if j, ok := seen[p.hash]; ok {
			return fmt.Errorf("packets %d and %d are the same; a gap between them would not show", j, i)
		}
		seen[p.hash] = i
	}
	return nil
}

// match is where a captured track lies in the one that was sent.
type match struct {
	first  int           // index in the sent track of the first captured packet
	count  int           // captured packets
	offset time.Duration // captured time minus sent time
}

// follow checks that got is a run of sent without a gap, a repetition or a
// foreign packet, and that its times are those of sent up to one offset, give
// or take tolerance.
func (sent track) follow(got track, tolerance time.Duration) (match, error) {
	if len(got) == 0 {
		return match{}, errors.New("no packets")
	}
	first := slices.IndexFunc(sent, func(p packet) bool { return p.hash == got[0].hash })
	if first < 0 {
		return match{}, fmt.Errorf("the first packet (dts %v) is none of those sent", got[0].dts)
	}
	m := match{first: first, count: len(got)}
	low, high := time.Duration(1<<62), time.Duration(-1<<62)
	for i, p := range got {
		if first+i >= len(sent) {
			return m, fmt.Errorf("%d packets more than were sent", len(got)-i)
		}
		want := sent[first+i]
		if p.hash != want.hash {
			at := slices.IndexFunc(sent, func(q packet) bool { return q.hash == p.hash })
			return m, fmt.Errorf("packet %d (dts %v): want number %d of those sent, is number %d", i, p.dts, first+i, at)
		}
		if d := (p.pts - p.dts) - (want.pts - want.dts); d.Abs() > tolerance {
			return m, fmt.Errorf("packet %d (dts %v): pts-dts is %v, sent with %v", i, p.dts, p.pts-p.dts, want.pts-want.dts)
		}
		d := p.dts - want.dts
		low, high = min(low, d), max(high, d)
		if high-low > 2*tolerance {
			return m, fmt.Errorf("packet %d (dts %v, number %d): offset to the sent time %v, others %v to %v",
				i, p.dts, first+i, d, low, high)
		}
	}
	m.offset = (low + high) / 2
	return m, nil
}

func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }
