package fanout

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"net/http/httputil"
	"testing"
)

// A block is the same payload in each framing, from any offset on.
func TestBlockFramings(t *testing.T) {
	for _, size := range []int{1, 15, 16, 125, 126, 4095, 65535, 65536, 300_000} {
		payload := bytes.Repeat([]byte{7, 8, 9}, size/3+1)[:size]
		b := &block{}
		b.setPayload(append(noLine[:maxChunkLine:maxChunkLine], payload...))
		if !bytes.Equal(b.payload(), payload) {
			t.Fatalf("%d bytes: the payload is another", size)
		}
		for _, f := range []Framing{Bare, Chunked, WebSocket} {
			whole := f.appendFramed(nil, payload)
			if b.size(f) != len(whole) {
				t.Errorf("%d bytes in framing %d: %d, want %d", size, f, b.size(f), len(whole))
			}
			for _, off := range []int{0, 1, 2, 3, len(whole) / 2, len(whole) - 1} {
				var got []byte
				for _, p := range b.pieces(net.Buffers{}, f, min(off, len(whole)-1)) {
					got = append(got, p...)
				}
				if !bytes.Equal(got, whole[min(off, len(whole)-1):]) {
					t.Errorf("%d bytes in framing %d from %d on differ", size, f, off)
				}
			}
		}
		chunks := httputil.NewChunkedReader(bytes.NewReader(Chunked.appendEnd(Chunked.appendFramed(nil, payload))))
		if got, err := io.ReadAll(chunks); err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes read back as %d: %v", size, len(got), err)
		}
	}
}

type control struct {
	op      byte
	payload string
}

func TestInbox(t *testing.T) {
	for _, test := range []struct {
		name, bytes string
		want        []control
		ok          bool
	}{
		{"masked ping", "8985 37fa213d 7f9f4d5158", []control{{opPing, "Hello"}}, true},
		{"empty pong", "8a80 01020304", []control{{opPong, ""}}, true},
		{"text, then close 1000", "8185 37fa213d 7f9f4d5158 8882 00000000 03e8", []control{{opClose, "\x03\xe8"}}, true},
		{"fragments around a ping", "0181 00000000 61 8981 00000000 62 8081 00000000 63", []control{{opPing, "b"}}, true},
		{"16-bit length", "82fe 0003 00000000 616263 8980 00000000", []control{{opPing, ""}}, true},
		{"64-bit length", "82ff 0000000000000003 00000000 616263 8980 00000000", []control{{opPing, ""}}, true},
		{"no mask", "8900", nil, false},
		{"no mask, with payload", "8905 48656c6c6f", nil, false},
		{"long control frame", "89fe 0100 00000000", nil, false},
		{"fragmented control frame", "0981 00000000 61", nil, false},
		{"length of 2^63", "82ff 8000000000000000 00000000", nil, false},
	} {
		wire, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(test.bytes), []byte(" "), nil)))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []int{1, 3, len(wire)} {
			var in inbox
			var got []control
			ok := true
			for b := wire; len(b) > 0 && ok; b = b[min(step, len(b)):] {
				ok = in.read(b[:min(step, len(b))], func(op byte, p []byte) bool {
					got = append(got, control{op, string(p)})
					return true
				})
			}
			if ok != test.ok || len(got) != len(test.want) {
				t.Errorf("%s by %d: %v, %v", test.name, step, ok, got)
				continue
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("%s by %d: %+v", test.name, step, got[i])
				}
			}
		}
	}
}

func FuzzInbox(f *testing.F) {
	f.Add([]byte{0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}, 3)
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1, 2, 3}, 1)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		read := func(step int) (got []control, ok bool) {
			var in inbox
			for ok = true; len(b) > 0 && ok; b = b[min(step, len(b)):] {
				ok = in.read(b[:min(step, len(b))], func(op byte, p []byte) bool {
					if len(p) > maxControl || op&8 == 0 {
						t.Fatalf("opcode %d with %d bytes", op, len(p))
					}
					got = append(got, control{op, string(p)})
					return true
				})
			}
			return got, ok
		}
		all := b
		whole, ok1 := read(len(b) + 1)
		b = all
		parts, ok2 := read(max(1, step&0xff))
		if ok1 != ok2 || len(whole) != len(parts) {
			t.Fatalf("at once %v %v, in parts %v %v", whole, ok1, parts, ok2)
		}
	})
}
