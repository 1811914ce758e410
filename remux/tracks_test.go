package remux

import (
	"testing"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// TestOpenGroups: recovery points are where viewers begin only behind an encoder that
// sends no IDR pictures for longer than a segment may wait; then for good.
func TestOpenGroups(t *testing.T) {
	const longest = 10 * time.Second
	idr := []byte{0, 0, 0, 1, 0x65}
	recovery := []byte{0, 0, 0, 5, 6, 6, 1, 0xc4, 0x80, 0, 0, 0, 1, 0x41}
	gradual := []byte{0, 0, 0, 5, 6, 6, 1, 0x24, 0x80, 0, 0, 0, 1, 0x41}
	other := []byte{0, 0, 0, 1, 0x41}
	type picture struct {
		seconds int
		data    []byte
		key     bool // as the container says
		want    bool
	}
	for name, pictures := range map[string][]picture{
		"IDR pictures now and then": {
			{0, idr, true, true}, {2, recovery, true, false}, {8, recovery, true, false}, {10, idr, true, true},
			{12, recovery, true, false}, {19, recovery, true, false}, {20, idr, true, true},
		},
		"one IDR picture": {
			{0, idr, true, true}, {2, recovery, true, false}, {8, recovery, true, false}, {10, recovery, true, true},
			{11, other, true, false}, {12, recovery, true, true}, {14, recovery, false, false}, {16, gradual, true, true},
			{18, idr, true, true}, {20, recovery, true, true},
		},
		"none":                              {{3, recovery, true, false}, {12, recovery, true, false}, {13, recovery, true, true}},
		"no container calls it a key frame": {{0, idr, false, false}, {2, idr, true, true}},
	} {
		in := intake{track: &av.Track{Codec: av.H264, LengthSize: 4, Width: 640, Height: 360}}
		for _, p := range pictures {
			m := message{kind: av.Video, packet: flv.Packet{Key: p.key, Data: p.data}}
			if got, err := in.key(m, time.Duration(p.seconds)*time.Second, longest); got != p.want || err != nil {
				t.Errorf("%s, after %d s: %v, %v", name, p.seconds, got, err)
			}
		}
	}
}
