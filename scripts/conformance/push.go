package conformance

import (
	"context"
	"time"
)

// Push is a publisher at work on a feed.
type Push struct {
	Publisher *Publisher
	Feed      *Feed
	// Speed is media time by real time; 0 sends as fast as the server reads.
	Speed   float64
	Session int
	Rec     *Recording // told of each frame

	sent    bool
	next    *Message
	started time.Time
	base    int64 // arrival at which it was started
}

// Until sends all messages that are due before a time from the feed's start.
func (p *Push) Until(ctx context.Context, to time.Duration) error {
	end := p.Feed.Start + to.Milliseconds()
	if !p.sent {
		p.sent = true
		for _, m := range p.Feed.Headers() {
			if err := p.Publisher.Write(m.Kind, uint32(m.Time), m.Body); err != nil {
				return err
			}
		}
	}
	for {
		if p.next == nil {
			m := p.Feed.Next()
			p.next = &m
		}
		if p.next.Arrival >= end {
			return nil
		}
		if err := p.keepPace(ctx, p.next.Arrival); err != nil {
			return err
		}
		if err := p.write(p.next); err != nil {
			return err
		}
		p.next = nil
	}
}

// write sends a message and tells the recording of it. It is noted before it
// goes out: what a viewer gets cannot have been there earlier.
func (p *Push) write(m *Message) error {
	if p.Rec != nil && m.Kind != msgData {
		p.Rec.mu.Lock()
		p.Rec.Sent = append(p.Rec.Sent, Sent{p.Session, m.Kind == msgVideo, m.Key, m.Time, time.Now()})
		p.Rec.mu.Unlock()
	}
	return p.Publisher.Write(m.Kind, uint32(m.Time), m.Body)
}

// keepPace waits until a message is due. What is late goes out at once, as an
// encoder's does.
func (p *Push) keepPace(ctx context.Context, arrival int64) error {
	if p.Speed <= 0 {
		return ctx.Err()
	}
	if p.started.IsZero() {
		p.started, p.base = time.Now(), arrival
	}
	due := p.started.Add(time.Duration(float64(arrival-p.base) / p.Speed * float64(time.Millisecond)))
	if wait := time.Until(due); wait > 0 {
		pause(ctx, wait)
	}
	return ctx.Err()
}

// Rest makes the pace begin anew, after a pause that was meant.
func (p *Push) Rest() { p.started = time.Time{} }
