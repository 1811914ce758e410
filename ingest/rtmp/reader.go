package rtmp

import "io"

const (
	readerSize = 4 << 10 // first size of a reader's buffer
	// maxReaderSize is what it grows to while reads fill it. More saves few reads: but
	// for key frames there is less to be read at a time.
	maxReaderSize = 16 << 10
)

// reader is a buffered reader that is as large as the traffic makes it: it
// starts small, and doubles when one read has filled it. A publisher that sends
// small chunks thereby gets few large reads, and an idle or slow connection
// costs 4 KB.
type reader struct {
	src   io.Reader
	buf   []byte
	r, w  int
	grow  bool   // the last read filled buf to its end
	total uint64 // bytes that came out of src
}

func newReader(src io.Reader, size int) reader {
	return reader{src: src, buf: make([]byte, size)}
}

// buffered returns the bytes that are there without reading.
func (r *reader) buffered() []byte { return r.buf[r.r:r.w] }

// next returns the next n bytes and moves on. They are valid until the next
// call. n is at most longestHeader.
func (r *reader) next(n int) ([]byte, error) {
	for r.w-r.r < n {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	b := r.buf[r.r : r.r+n]
	r.r += n
	return b, nil
}

// read fills dst. What is larger than the buffer goes into dst directly.
func (r *reader) read(dst []byte) error {
	n := copy(dst, r.buffered())
	r.r += n
	for dst = dst[n:]; len(dst) > 0; dst = dst[n:] {
		var err error
		if len(dst) >= len(r.buf) {
			n, err = r.direct(dst)
		} else if err = r.fill(); err == nil {
			n = copy(dst, r.buffered())
			r.r += n
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) direct(dst []byte) (int, error) {
	n, err := r.src.Read(dst)
	r.total += uint64(n)
	if n > 0 {
		err = nil
	}
	return n, noProgress(n, err)
}

// fill reads once, behind what is buffered.
func (r *reader) fill() error {
	if r.r == r.w {
		r.r, r.w = 0, 0
		if r.grow && len(r.buf) < maxReaderSize {
			r.buf = make([]byte, 2*len(r.buf))
		} else if len(r.buf) > maxReaderSize { // restore has made it so large
			r.buf = make([]byte, maxReaderSize)
		}
	} else if len(r.buf)-r.r < longestHeader {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	r.total += uint64(n)
	r.grow = r.w == len(r.buf)
	if n > 0 {
		return nil
	}
	return noProgress(n, err)
}

// lend has the reader go on with room[at:], which somebody has read, and with what was
// left over, which goes in front of that. It returns what restore needs.
func (r *reader) lend(room []byte, at int) (own []byte) {
	own = r.buf
	r.total += uint64(len(room) - at)
	at -= copy(room[at-(r.w-r.r):], r.buffered())
	r.buf, r.r, r.w = room, at, len(room)
	return own
}

// restore ends lend and keeps what is left over.
func (r *reader) restore(own []byte) {
	rest := r.buffered()
	if len(rest) > len(own) {
		own = make([]byte, len(rest))
	}
	r.buf, r.r, r.w = own, 0, copy(own, rest)
}

// noProgress keeps a source that returns neither bytes nor an error from
// spinning the caller.
func noProgress(n int, err error) error {
	if n == 0 && err == nil {
		return io.ErrNoProgress
	}
	return err
}
