package fanout

import (
	"bytes"
	"fmt"
	"testing"

	"headwater/remux/flv"
)

// TestTextInTS: data messages that HLS players get as ID3 tags reach viewers of MPEG-TS as
// the same, and those of FLV as they came.
func TestTextInTS(t *testing.T) {
	p := publisher(t)
	ts, tags := newFeed(feedKey{p.Stream(), TS}), newFeed(feedKey{p.Stream(), FLV})
	firstTS, firstFLV := ts.newest, tags.newest
	pictures(t, p, 0, 40, true)
	for i := range 3 {
		text := fmt.Sprintf("text %d", i)
		send(t, p, flv.TypeScript, uint32(1600+40*i), fmt.Appendf(nil, "\x02\x00\x0aonTextData\x08\x00\x00\x00\x01\x00\x04text\x02\x00\x06%s\x00\x00\x09", text))
		pictures(t, p, 1600+40*i, 1, false)
	}
	bytesOf := func(f *feed, first *block) (all []byte) {
		f.advance(1, 0)
		for b := first.next.Load(); b != nil; b = b.next.Load() {
			all = append(all, b.payload()...)
		}
		return all
	}
	inTS, inFLV := bytesOf(ts, firstTS), bytesOf(tags, firstFLV)
	if n := bytes.Count(inTS, []byte("ID3\x04")); n != 3 || !bytes.Contains(inTS, []byte("text 2")) {
		t.Errorf("%d tags in %d bytes of MPEG-TS", n, len(inTS))
	}
	if n := bytes.Count(inFLV, []byte("onTextData")); n != 3 {
		t.Errorf("%d messages in %d bytes of FLV", n, len(inFLV))
	}
}
