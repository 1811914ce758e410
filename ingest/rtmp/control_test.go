package rtmp

import (
	"testing"
)

func TestAcknowledgements(t *testing.T) {
	for _, c := range []struct {
		name   string
		window []byte // nil: none
		every  int
	}{
		{"of the server's own window", nil, ackWindow / 2},
		{"window of 0", []byte{0, 0, 0, 0}, 64 << 10},
		{"window of 1", []byte{0, 0, 0, 1}, 64 << 10},
		{"window of 200000", []byte{0, 3, 0x0d, 0x40}, 100_000},
		{"window of 2^32-1", []byte{255, 255, 255, 255}, ackWindow / 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newSession(t, newJournal())
			p.publish("live", "x")
			if c.window != nil {
				p.message(2, typeWindowAckSize, 0, 0, c.window)
			}
			const frames, size = 400, 10_000
			go func() {
				b := appendChunks(nil, 6, typeVideo, 1, 0, make([]byte, size), defaultChunkSize)
				for range frames {
					if _, err := p.conn.Write(b); err != nil {
						return
					}
				}
				_, _ = p.conn.Write(wire("02 000000 000006 04 00000000 0006 00000bad"))
			}()
			acks := 0
			for {
				m, err := p.in.ReadMessage()
				if err != nil {
					t.Fatal(err)
				}
				if m.Type == typeUserControl {
					break
				}
				if n, _ := m.control(); m.Type != typeAck || n < uint32(acks*c.every) {
					t.Errorf("got %s after %d acknowledgements", describe(&m), acks)
				}
				acks++
			}
			total := frames * (size + size/128 + 12)
			if low, high := total/(c.every+maxReaderSize+2*size), total/c.every+1; acks < low || acks > high {
				t.Errorf("%d acknowledgements of %d bytes, want %d to %d", acks, total, low, high)
			}
		})
	}
}

func TestPings(t *testing.T) {
	p := newSession(t, newJournal())
	p.connectTo("live")
	p.send("42 000005 000006 04 0006 01020304") // librtmp: type 1 on a chunk stream
	m, err := p.in.ReadMessage()
	if err != nil || describe(&m) != "event 7: 01020304" {
		t.Fatalf("got %s, %v", describe(&m), err)
	}
	for range 150 { // a flood is not worth an answer each
		p.send(wire("02 000000 000006 04 00000000 0006 00000001"))
	}
	p.command(0, "createStream", 9, nil)
	all := p.replies("_result")
	if len(all) > 50 {
		t.Errorf("%d pings answered", len(all)-1)
	}
}
