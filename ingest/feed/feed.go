// Package feed sends live streams to RTMP peers, players and other servers: it joins
// the fan-out, which knows streams, and the protocol, which knows bytes.
//
// RTMP is one more format of the fan-out. The chunks of a block of frames are made once
// and are the same memory for all peers of an rtmp.Format, that is a message stream and
// a set of codecs; each block begins with whole headers, as every message does, so that
// a peer can come and skip at any.
//
// A player on plain TCP is lent to a loop of the fan-out (fanout.Lend): the loop writes,
// the session reads. What the session has to say meanwhile, pings, acknowledgements and
// answers, goes to the loop and comes between two blocks. Over TLS, and towards other
// servers, a goroutine takes the same blocks and writes them by itself.
//
// What it costs is with package fanout.
package feed

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"headwater/ingest/rtmp"
	"headwater/remux"
	"headwater/remux/fanout"
)

// Feed is one stream on its way to one peer. Its counts are for any goroutine.
type Feed struct {
	fanout.Counts

	// fixed before Run and Play
	Stream *remux.Stream
	Fanout *fanout.Fanout
}

// format is RTMP as the fan-out knows formats.
type format struct{ rtmp.Format }

// Packer is that of fanout.Format.
func (f format) Packer(s *remux.Stream) fanout.Packer { return f.Format.Packer(s.Metadata) }

func (f *Feed) viewer(to *rtmp.MediaWriter) fanout.Viewer {
	return fanout.Viewer{Stream: f.Stream, Format: format{to.Format()}, Counts: &f.Counts}
}

// Run sends from the caller's goroutine until the stream has ended (io.EOF), the peer
// fails or ctx is done (its cause).
func (f *Feed) Run(ctx context.Context, to *rtmp.MediaWriter) error {
	err := f.Fanout.Run(ctx, f.viewer(to), to).Reason
	if ctx.Err() != nil && !errors.Is(err, io.EOF) { // what it met then is of no interest
		return context.Cause(ctx)
	}
	return err
}

// Play is Run for a player, which gets a ping at each interval. When it returns the
// player's connection is the session's again.
func (f *Feed) Play(ctx context.Context, to *rtmp.Player, ping time.Duration) error {
	running, cancel := context.WithCancel(ctx)
	done, end := f.begin(running, to)
	defer func() {
		cancel()
		to.Reclaim()
		<-done
	}()
	tick := time.NewTicker(ping)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := to.Ping(); err != nil {
				return err
			}
		case <-done:
			err := end()
			if errors.Is(err, fanout.ErrLeft) { // the session is ending, and knows why
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// begin lends the player to a loop, or runs a goroutine for it.
func (f *Feed) begin(ctx context.Context, to *rtmp.Player) (done <-chan struct{}, end func() error) {
	var loan *fanout.Loan
	lent := to.Lend(func(conn net.Conn) rtmp.Line {
		if loan = f.Fanout.Lend(conn, f.viewer(&to.MediaWriter)); loan == nil {
			return nil
		}
		return loan
	})
	if lent {
		return loan.Done(), func() error { return loan.End().Reason }
	}
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		err = f.Run(ctx, &to.MediaWriter)
	}()
	return ended, func() error { return err }
}
