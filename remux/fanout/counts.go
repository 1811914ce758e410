package fanout

import "sync/atomic"

// Counts is what one viewer has got, or several one after the other. Any goroutine may
// ask.
type Counts struct{ frames, bytes, skips atomic.Uint64 }

// Frames returns how many frames were sent.
func (c *Counts) Frames() uint64 { return c.frames.Load() }

// Bytes returns how many bytes were sent, as the Format has them.
func (c *Counts) Bytes() uint64 { return c.bytes.Load() }

// Skips returns how often the viewer was too slow.
func (c *Counts) Skips() uint64 { return c.skips.Load() }

func (c *Counts) sent(b *block) {
	if c != nil {
		c.frames.Add(uint64(b.frames))
		c.bytes.Add(uint64(b.size(Bare)))
	}
}

func (c *Counts) wrote(n int) {
	if c != nil {
		c.bytes.Add(uint64(n))
	}
}

func (c *Counts) skip() {
	if c != nil {
		c.skips.Add(1)
	}
}
