package ingest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/remux"
	"headwater/remux/flv"
)

// playHarness is a harness with a registry of real streams.
func playHarness(t *testing.T, change func(*Config)) *harness {
	t.Helper()
	h := newHarness(t, func(c *Config) {
		o := remux.DefaultOptions()
		o.Reconnect = 0
		c.Registry = remux.NewRegistry(o, nil)
		go c.Registry.Run(t.Context())
		if change != nil {
			change(c)
		}
	})
	h.publish = func(n remux.Name, c remux.Claim) (sink, error) { return h.config.Registry.Publish(n, c) }
	return h
}

// source is an FLV file of some seconds, 25 frames and a key frame a second, B
// frames, key frames of several chunks, and AAC.
var source = sync.OnceValues(func() ([]tag, error) {
	dir, err := os.MkdirTemp("", "headwater-source-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "source.flv")
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25,noise=alls=60:allf=t",
		"-f", "lavfi", "-i", "sine=r=44100", "-t", "4", "-c:v", "libx264", "-preset", "veryfast", "-b:v", "6M", "-bf", "2",
		"-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-flvflags", "no_duration_filesize", "-f", "flv", path).CombinedOutput()
	if err != nil {
		return nil, &exec.Error{Name: "ffmpeg: " + string(out), Err: err}
	}
	return readFLV(path)
})

// readFLV returns the tags of a file. The last may be cut.
func readFLV(path string) ([]tag, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var tags []tag
	for b = b[min(13, len(b)):]; len(b) >= 15; {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if n > len(b)-15 {
			break
		}
		at := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
		tags = append(tags, tag{b[0] & 31, at, b[11 : 11+n]})
		b = b[15+n:]
	}
	return tags, nil
}

// header reports whether a tag is a sequence header or the end of a sequence.
func (m tag) header() bool {
	p, err := flv.ParseAudio(m.body)
	if m.typ == flv.TypeVideo {
		p, err = flv.ParseVideo(m.body)
	}
	return err != nil || p.Type != flv.Frame
}

func (m tag) media() bool { return m.typ != flv.TypeScript && !m.header() }

// broadcast is a publisher that repeats the source in real time, until the test or
// stop ends it.
type broadcast struct {
	stop func()

	mu   sync.Mutex
	sent []tag // media
}

// broadcast begins at a timestamp.
func (h *harness) broadcast(t *testing.T, name string, start uint32) *broadcast {
	t.Helper()
	tags, err := source()
	if err != nil {
		t.Skip(err)
	}
	p, err := h.config.Registry.Publish(remux.Name{App: "live", Stream: name}, remux.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	b := &broadcast{}
	quit := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		defer p.Close()
		b.run(t, p, tags, start, quit)
	})
	b.stop = sync.OnceFunc(func() {
		close(quit)
		running.Wait()
	})
	t.Cleanup(b.stop)
	return b
}

const sourceLength = 4200 // ms, sound included

func (b *broadcast) run(t *testing.T, p *remux.Publisher, tags []tag, start uint32, quit chan struct{}) {
	began := time.Now()
	for round := uint32(0); ; round++ {
		for _, m := range tags {
			if round > 0 && !m.media() {
				continue
			}
			at := m.timestamp + round*sourceLength
			select {
			case <-quit:
				return
			case <-time.After(time.Until(began.Add(time.Duration(at) * time.Millisecond))):
			}
			buf := flv.NewTag(len(m.body))
			copy(flv.Body(buf), m.body)
			if m.media() {
				b.mu.Lock()
				b.sent = append(b.sent, tag{m.typ, start + at, m.body})
				b.mu.Unlock()
			}
			if err := p.Write(m.typ, start+at, buf); err != nil {
				t.Errorf("publish: %v", err)
				return
			}
		}
	}
}

// check compares what a player got with what was sent: without a gap, from a key
// frame on, at least so many pictures, each at its time. base is what the player
// takes from every timestamp.
func (b *broadcast) check(t *testing.T, got []tag, pictures int, base uint32) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, typ := range []uint8{flv.TypeVideo, flv.TypeAudio} {
		media := slices.DeleteFunc(slices.Clone(got), func(m tag) bool { return m.typ != typ || !m.media() })
		sent := slices.DeleteFunc(slices.Clone(b.sent), func(m tag) bool { return m.typ != typ })
		if len(media) == 0 {
			t.Errorf("no message of type %d", typ)
			continue
		}
		first := slices.IndexFunc(sent, func(m tag) bool {
			d := int32(m.timestamp - base - media[0].timestamp)
			return -1 <= d && d <= 1 && bytes.Equal(m.body, media[0].body)
		})
		if first < 0 {
			t.Errorf("type %d: the first message, at %d ms, was never sent", typ, media[0].timestamp)
			continue
		}
		if typ == flv.TypeVideo {
			if p, err := flv.ParseVideo(media[0].body); err != nil || !p.Key {
				t.Errorf("begins with no key frame")
			}
			if len(media) < pictures {
				t.Errorf("%d pictures", len(media))
			}
		}
		for i, m := range media {
			s := sent[first+i]
			d := int32(s.timestamp - base - m.timestamp)
			if d < -1 || d > 1 || !bytes.Equal(s.body, m.body) {
				t.Errorf("type %d, message %d: %d bytes at %d ms; sent %d at %d", typ, i, len(m.body), m.timestamp+base, len(s.body), s.timestamp)
				break
			}
		}
	}
}

// complaints returns the lines of a client's output that say that something is
// wrong.
func complaints(out string, but ...string) (lines []string) {
next:
	for line := range strings.Lines(out) {
		low := strings.ToLower(line)
		for _, b := range but {
			if strings.Contains(low, b) {
				continue next
			}
		}
		for _, bad := range []string{"error", "invalid", "corrupt", "non monoton", "discontinuity", "exit status", "fail", "unexpected"} {
			if strings.Contains(low, bad) {
				lines = append(lines, line)
				continue next
			}
		}
	}
	return lines
}
