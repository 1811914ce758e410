// Package remux turns what publishers send into what viewers ask for.
package remux

import (
	"errors"
	"time"
)

// Options are the limits and lengths that hold for every stream.
type Options struct {
	SegmentDuration    time.Duration // the shortest segment that a key frame may end
	MaxSegmentDuration time.Duration // a segment is cut here even without a key frame
	PartDuration       time.Duration // nominal length of a low-latency part
	Window             time.Duration // media listed in a playlist
	MaxBytes           int64         // bytes of frames one stream may hold
	Reconnect          time.Duration // how long a stream outlives its publisher
}

// ErrBusy says that the name has a publisher already.
var ErrBusy = errors.New("the stream already has a publisher")

// Registry maps names to live streams.
type Registry struct{}

// NewRegistry returns an empty registry.
func NewRegistry(o Options) *Registry { return &Registry{} }

// Publish claims name for one publisher. It fails with ErrBusy while another
// holds it.
func (r *Registry) Publish(name Name) (*Publisher, error) { return &Publisher{}, nil }

// Publisher is the only way to write to a stream. It belongs to one goroutine.
type Publisher struct{}

// Write appends one RTMP message. msgType is the RTMP type (8 audio, 9 video,
// 18 data), timestamp the message's 32-bit milliseconds as they came, and tag a
// buffer made by flv.NewTag whose body holds the payload. Write takes the buffer
// over, whatever it returns. An error means that the publisher has to go.
func (p *Publisher) Write(msgType uint8, timestamp uint32, tag []byte) error { return nil }

// Close gives the name back. It may be called twice.
func (p *Publisher) Close() {}
