package ingest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"headwater/ingest/rtmp"
	"headwater/remux"
)

// Config says how a Server works. The zero value of every field but Registry
// has a meaning, which the field's comment gives.
type Config struct {
	Registry *remux.Registry // where streams are published; required
	Logger   *slog.Logger    // nil: no log

	// Authorize decides who may publish, and under which name. It is called on
	// the publisher's own goroutine, so that it may take its time, which
	// AuthorizeTimeout bounds. A *Refusal that it returns is told to the encoder,
	// word by word; of any other error the encoder learns no more than that it
	// was refused. nil: everybody may publish under the name asked for.
	Authorize func(ctx context.Context, r PublishRequest) (Grant, error)

	// AuthorizePlay decides who may play, like Authorize. nil: everybody may.
	AuthorizePlay func(ctx context.Context, r PlayRequest) error
	// PlayDone is called once for each play that AuthorizePlay has allowed, when
	// it is over. It must not wait. nil: nothing is called.
	PlayDone func(r PlayRequest, end PlayEnd)
	// Demand is asked for a stream that nobody publishes here when somebody wants
	// to play it; it may fetch it from elsewhere. It returns nil if it has not come
	// when ctx is done, or never will. nil: nobody is asked.
	Demand func(ctx context.Context, name remux.Name) *remux.Stream
	// Full reports whether the machine is short of memory; new publishers and players
	// are refused then. One that comes back to its stream is not new. nil: it never is.
	Full func() bool
	// RelayID is what this server is called among relays, so that one that goes in
	// a circle is noticed. "": it has no name.
	RelayID string

	// Takeover lets a second publisher of a name replace the first, so that an
	// encoder gets back in whose old connection nobody has noticed to be dead. It
	// is for those whose Grant is Proved; any other is refused. false: all are.
	Takeover bool

	MaxConnections           int // open at once; more are closed on sight. 0: 1000
	MaxConnectionsPerAddress int // likewise, of one IPv4 address or IPv6 /64; loopback has no limit. 0: no limit
	MaxRatePerAddress        int // new connections a second, after a burst of 2.5 times that; loopback has no limit. 0: no limit
	MaxPlayers               int // playing at once. 0: three quarters of MaxConnections, so that publishers get in
	MaxMessage               int // bytes of one audio or video message; a longer one ends the session. 0: 8 MiB

	MaxUncut int64 // bytes that one segment may hold; a publisher that goes on without another is closed. 0: 256 MiB

	MaxBitrate   int64         // bits a second that are read of one publisher, after a burst of 16 MiB. 0: no limit
	BitrateGrace time.Duration // how long it may want more before it is told so and closed. 0: for ever, at that rate

	ReadGather time.Duration // publishers are read this far apart. 0: whenever something comes
	PlayGather time.Duration // frames of this long are written to a player together, of 20 ms while there are few. 0: each as it comes
	PlayHold   time.Duration // how long a player waits for a stream that is not there. 0: 3 s

	HandshakeTimeout  time.Duration // from accept to the end of the handshake, that of TLS included. 0: 5 s
	ConnectTimeout    time.Duration // from there to the connect command. 0: 5 s
	PublishTimeout    time.Duration // from there to the publish or play command, and again after each. 0: 10 s
	AuthorizeTimeout  time.Duration // of the context given to Authorize and AuthorizePlay. 0: 10 s
	FirstMediaTimeout time.Duration // from an accepted publish to the first audio or video. 0: 15 s
	IdleTimeout       time.Duration // the longest time without audio and video. 0: 10 s
	WriteTimeout      time.Duration // the longest time in which a peer takes nothing of what is sent to it. 0: 5 s
	PingTimeout       time.Duration // for a player to answer a ping, which it gets each 15 s. 0: 10 s
}

func (c Config) withDefaults() (Config, error) {
	if c.Registry == nil {
		return c, errors.New("ingest: Config.Registry is nil")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Authorize == nil {
		c.Authorize = func(_ context.Context, r PublishRequest) (Grant, error) { return Grant{Name: r.Name}, nil }
	}
	if c.AuthorizePlay == nil {
		c.AuthorizePlay = func(context.Context, PlayRequest) error { return nil }
	}
	if c.PlayDone == nil {
		c.PlayDone = func(PlayRequest, PlayEnd) {}
	}
	if c.Demand == nil {
		c.Demand = func(context.Context, remux.Name) *remux.Stream { return nil }
	}
	if c.Full == nil {
		c.Full = func() bool { return false }
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 1000
	}
	if c.MaxPlayers == 0 {
		c.MaxPlayers = (3*c.MaxConnections + 3) / 4
	}
	if c.MaxUncut == 0 {
		c.MaxUncut = 256 << 20
	}
	if c.PlayHold == 0 {
		c.PlayHold = 3 * time.Second
	}
	if c.AuthorizeTimeout == 0 {
		c.AuthorizeTimeout = 10 * time.Second
	}
	return c, nil
}

// options returns the session's part; package rtmp knows its defaults.
func (c *Config) options() rtmp.Options {
	return rtmp.Options{
		Handshake:  c.HandshakeTimeout,
		Connect:    c.ConnectTimeout,
		Publish:    c.PublishTimeout,
		FirstMedia: c.FirstMediaTimeout,
		Idle:       c.IdleTimeout,
		Write:      c.WriteTimeout,
		Answer:     c.PingTimeout,
		MaxMessage: c.MaxMessage,
		RelayID:    c.RelayID,

		MaxBitrate:   c.MaxBitrate,
		BitrateGrace: c.BitrateGrace,
	}
}
