//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

const (
	tagAudio, tagVideo, tagScript = 8, 9, 18
)

// flvTag is one tag of an FLV file.
type flvTag struct {
	typ  byte
	time uint32 // ms
	body []byte
}

// header says whether the tag is a sequence header (AVC or AAC).
func (t flvTag) header() bool {
	switch {
	case len(t.body) < 2:
		return false
	case t.typ == tagVideo:
		return t.body[0]&0x0f == 7 && t.body[1] == 0
	case t.typ == tagAudio:
		return t.body[0]>>4 == 10 && t.body[1] == 0
	}
	return false
}

// key says whether the tag is a coded picture that a decoder can start with.
func (t flvTag) key() bool {
	return t.typ == tagVideo && !t.header() && len(t.body) > 0 && t.body[0]>>4 == 1
}

// parseFLV splits an FLV file that may end inside a tag, and checks its framing.
func parseFLV(b []byte) (flags byte, tags []flvTag, err error) {
	if len(b) < 13 || string(b[:4]) != "FLV\x01" || !bytes.Equal(b[5:13], []byte{0, 0, 0, 9, 0, 0, 0, 0}) {
		return 0, nil, fmt.Errorf("not an FLV header: % x", b[:min(13, len(b))])
	}
	flags, b = b[4], b[13:]
	for len(b) >= 11 {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if b[8] != 0 || b[9] != 0 || b[10] != 0 {
			return flags, tags, fmt.Errorf("tag %d: stream id is not 0", len(tags))
		}
		if len(b) < 11+n+4 {
			break
		}
		if back := binary.BigEndian.Uint32(b[11+n:]); back != uint32(11+n) {
			return flags, tags, fmt.Errorf("tag %d: PreviousTagSize %d, want %d", len(tags), back, 11+n)
		}
		time := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
		tags = append(tags, flvTag{b[0], time, b[11 : 11+n]})
		b = b[11+n+4:]
	}
	return flags, tags, nil
}

// checkFLVStart checks that a viewer can start: the header's flags say what
// follows, each track's sequence header stands before its first frame, and the
// first picture is a key frame.
func checkFLVStart(flags byte, tags []flvTag, video, audio, headless bool) error {
	want := byte(0)
	if video {
		want |= 1
	}
	if audio {
		want |= 4
	}
	if flags != want {
		return fmt.Errorf("header flags %#x, want %#x", flags, want)
	}
	var videoHeader, audioHeader, picture bool
	for i, t := range tags {
		switch {
		case t.typ == tagScript && picture:
		case t.header() && t.typ == tagVideo:
			videoHeader = true
		case t.header():
			audioHeader = true
		case t.typ == tagVideo && !videoHeader:
			return fmt.Errorf("tag %d: a picture before the sequence header", i)
		case t.typ == tagAudio && !audioHeader && !headless:
			return fmt.Errorf("tag %d: sound before the sequence header", i)
		case t.typ == tagVideo && !picture:
			if !t.key() {
				return fmt.Errorf("tag %d: the first picture is no key frame", i)
			}
			picture = true
		}
	}
	return nil
}

// avcCodec returns the RFC 6381 name of an FLV file's video, from its avcC.
func avcCodec(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	_, tags, err := parseFLV(b)
	if err != nil {
		return "", err
	}
	for _, t := range tags {
		if t.typ == tagVideo && t.header() && len(t.body) > 9 {
			return fmt.Sprintf("avc1.%02x%02x%02x", t.body[6], t.body[7], t.body[8]), nil
		}
	}
	return "", errors.New("no AVC sequence header")
}

// flvPull is a viewer that keeps what an HTTP-FLV URL sends.
type flvPull struct {
	buf    *rig.Log
	cancel context.CancelFunc
	done   chan struct{}
	header http.Header
	status int
	err    error // why it ended, nil when the server ended the body well
}

// pullFLV asks for url until there is a stream, then keeps all it sends.
func pullFLV(t *testing.T, url string) *flvPull {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &flvPull{buf: &rig.Log{}, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = p.run(ctx, url)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

func (p *flvPull) run(ctx context.Context, url string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		if resp.StatusCode == http.StatusOK {
			defer resp.Body.Close()
			p.header, p.status = resp.Header, resp.StatusCode
			_, err = io.Copy(p.buf, resp.Body)
			return err
		}
		resp.Body.Close()
		select {
		case <-ctx.Done():
			return fmt.Errorf("status %d: %w", resp.StatusCode, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// finish waits until the viewer has been sent nothing for a second, ends it and
// writes what it got, whole tags only, to a file.
func (p *flvPull) finish(t *testing.T) (file string, flags byte, tags []flvTag) {
	t.Helper()
	last := -1
	for {
		n := p.buf.Len()
		if n == last {
			break
		}
		last = n
		select {
		case <-p.done:
		case <-time.After(time.Second):
		}
	}
	p.cancel()
	<-p.done
	if p.status != http.StatusOK {
		t.Fatalf("FLV viewer: status %d, %v", p.status, p.err)
	}
	flags, tags, err := parseFLV([]byte(p.buf.String()))
	if err != nil {
		t.Fatalf("FLV viewer: %v", err)
	}
	file = filepath.Join(t.TempDir(), "pulled.flv")
	writeFile(t, file, joinFLV(flags, tags))
	return file, flags, tags
}

// joinFLV is the inverse of parseFLV.
func joinFLV(flags byte, tags []flvTag) []byte {
	b := []byte{'F', 'L', 'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0}
	for _, t := range tags {
		n := len(t.body)
		b = append(b, t.typ, byte(n>>16), byte(n>>8), byte(n),
			byte(t.time>>16), byte(t.time>>8), byte(t.time), byte(t.time>>24), 0, 0, 0)
		b = append(b, t.body...)
		b = binary.BigEndian.AppendUint32(b, uint32(11+n))
	}
	return b
}

func writeFile(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
