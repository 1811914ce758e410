package rtmp

import (
	"encoding/binary"
	"net"
	"syscall"
)

// gather is messages cut into chunks (RTMP 5.3), to be written together. Only the
// chunks' headers are made here; the payloads are those of all viewers.
//
// Every message begins with a header of type 0, absolute and whole: a viewer may
// come and skip at any message, and what compressed headers would save is nothing
// beside the payload.
type gather struct {
	heads  []byte // of all chunks, one behind the other
	bufs   net.Buffers
	bytes  int    // of bufs
	joined []byte // room for what has to be written in one piece
}

// chunk headers of type 3 begin with this.
const continues = 0xc0

// add appends a message. body must stay as it is until it has been written.
func (g *gather) add(chunkStream uint8, m Message, body []byte) {
	n := len(body)
	stamp := min(m.Timestamp, extended)
	at := len(g.heads)
	g.heads = append(g.heads, chunkStream, byte(stamp>>16), byte(stamp>>8), byte(stamp), byte(n>>16), byte(n>>8), byte(n), m.Type)
	g.heads = binary.LittleEndian.AppendUint32(g.heads, m.StreamID)
	for {
		// The extended timestamp is in every chunk of the message (5.3.1.3).
		if stamp == extended {
			g.heads = binary.BigEndian.AppendUint32(g.heads, m.Timestamp)
		}
		k := min(len(body), outerChunkSize)
		g.put(g.heads[at:])
		g.put(body[:k:k])
		if body = body[k:]; len(body) == 0 {
			return
		}
		at = len(g.heads)
		g.heads = append(g.heads, continues|chunkStream)
	}
}

func (g *gather) put(b []byte) {
	if len(b) > 0 {
		g.bufs = append(g.bufs, b[:len(b):len(b)])
		g.bytes += len(b)
	}
}

// reset forgets what was gathered and keeps the room for it.
func (g *gather) reset() {
	clear(g.bufs)
	g.heads, g.bufs, g.bytes = g.heads[:0], g.bufs[:0], 0
}

// stepBytes is what a peer must take within one deadline: who takes little is
// slow, and only who takes nothing is gone.
const stepBytes = 128 << 10

// step cuts off the buffers at the beginning of bufs that are written at once.
func step(bufs net.Buffers) (first, rest net.Buffers) {
	n, size := 0, 0
	for n < len(bufs) && (n == 0 || size+len(bufs[n]) <= stepBytes) {
		size += len(bufs[n])
		n++
	}
	return bufs[:n:n], bufs[n:]
}

// write writes bufs with as few calls as conn allows.
func (g *gather) write(conn net.Conn, bufs net.Buffers) error {
	if _, ok := conn.(syscall.Conn); ok { // a socket, whatever wraps it, and so writev
		_, err := bufs.WriteTo(conn)
		return err
	}
	// Over TLS every Write is a record and a system call.
	g.joined = g.joined[:0]
	for _, b := range bufs {
		g.joined = append(g.joined, b...)
	}
	_, err := conn.Write(g.joined)
	return err
}
