package rtmp

import (
	"context"
	"time"
)

// Handler is what a session reports to. Its methods are called one after the other, in
// the order of the messages that caused them: Write by whoever reads the connection,
// all others on the session's own goroutine.
type Handler interface {
	// Publish asks for permission to publish. A *Status that is returned is
	// told to the peer, any other error becomes a general refusal; the
	// connection is then closed. After nil, Write is called until Unpublish.
	Publish(p Publish) error
	// Write takes one media message: its type is 8, 9 or 18, its timestamp in
	// milliseconds as it came. It owns tag, which flv.NewTag made. It may not
	// wait, since the one who calls it may read many connections: it returns a Pause
	// instead. A *Stop ends the session with a word to the peer, any other error
	// without one.
	Write(typ uint8, timestamp uint32, tag []byte) error
	// Unpublish ends what Publish began, exactly once. err is nil if the peer
	// did so in order, with a command, and else what ended the session.
	Unpublish(err error)
	// Play asks for permission to play. A *Status that is returned is told to
	// the peer, any other error becomes a general refusal; the connection is then
	// closed. Otherwise the View is run, once, on a goroutine of its own.
	Play(p Play) (View, error)
	// Closed is called last, when the connection has been closed; err is what
	// ended it.
	Closed(err error)
}

// Publish is a request to publish.
type Publish struct {
	Connect Connect
	Name    string // the stream's name, with whatever ?query the peer gave it
}

// Play is a request to play.
type Play struct {
	Connect Connect
	Name    string // the stream's name, with whatever ?query the peer gave it
}

// Pause is what Write returns to have the peer not read for a while. It is no failure:
// the message was taken.
type Pause time.Duration

func (p Pause) Error() string { return "pause of " + time.Duration(p).String() }

// Stop is what Write returns to do what Session.Stop does.
type Stop struct {
	Err error
	Why Status
}

func (s *Stop) Error() string { return s.Err.Error() }
func (s *Stop) Unwrap() error { return s.Err }

// View sends a peer what it plays. When it returns nil the peer is told that the
// stream has ended; a *Status is told as it is; with any other error it is of no
// use to tell the peer anything. The session ends in each case. ctx is done when
// the peer stops playing or is gone, and its cause says which; View then has to
// return, and what it returns does not count.
type View func(ctx context.Context, to *Player) error

// Connect is what a peer says about itself. All of it is free text of at most
// 8 KB each.
type Connect struct {
	App      string // with whatever ?query the peer gave it
	TcURL    string
	FlashVer string // names the encoder or player
	PageURL  string // where a player is embedded
	Type     string
	Via      []string // the servers that a relay's stream has come through, see RelayID

	enhanced bool     // it asked for Enhanced RTMP's capabilities
	codecs   []string // FourCCs that it listed; nil: it listed none
}

// Codes of Status that encoders and players know. Encoders give up at these with a message to
// the user, and try for ever at others.
const (
	PublishBadName  = "NetStream.Publish.BadName"
	PublishDenied   = "NetStream.Publish.Denied"
	PublishRejected = "NetStream.Publish.Rejected"
	ConnectClosed   = "NetConnection.Connect.Closed" // at this one they come back
	PlayFailed      = "NetStream.Play.Failed"
	PlayNotFound    = "NetStream.Play.StreamNotFound"
	PlayNoTrack     = "NetStream.Play.NoSupportedTrackFound"
	PlayEnded       = "NetStream.Play.UnpublishNotify"
	playReset       = "NetStream.Play.Reset"
	playStart       = "NetStream.Play.Start"
	dataStart       = "NetStream.Data.Start"
	publishStart    = "NetStream.Publish.Start"
	unpublishDone   = "NetStream.Unpublish.Success"
	connectSuccess  = "NetConnection.Connect.Success"
)

// Status is a refusal as the peer is told it, in an onStatus.
type Status struct {
	Code        string
	Description string // for the encoder's user
}

func (s *Status) Error() string { return s.Code + ": " + s.Description }

// info returns the information object of an onStatus (RTMP 7.2.2).
func (s *Status) info(level string) Object {
	return Object{{"level", level}, {"code", s.Code}, {"description", s.Description}}
}

// Options are the bounds of a session. Zero values mean DefaultOptions', but for
// the bit rate, where they mean no limit.
type Options struct {
	Handshake  time.Duration // from the start to the end of the handshake
	Connect    time.Duration // from there to the connect command
	Publish    time.Duration // from there to an accepted publish or play
	FirstMedia time.Duration // from there to the first media message
	Idle       time.Duration // longest time without a complete media message
	Write      time.Duration // for a peer to take something of what is written to it
	Answer     time.Duration // for a player to say something after Player.Ping
	MaxMessage int           // bytes of an audio or video message; of audio 256 KiB at most
	RelayID    string        // what this server is called among relays; "": nothing

	MaxBitrate   int64         // bits a second that are read, after a burst of 16 MiB
	BitrateGrace time.Duration // how long a peer may want more before the session ends; 0: for ever, at that rate
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		Handshake:  5 * time.Second,
		Connect:    5 * time.Second,
		Publish:    10 * time.Second,
		FirstMedia: 15 * time.Second,
		Idle:       10 * time.Second,
		Write:      5 * time.Second,
		Answer:     10 * time.Second,
		MaxMessage: 8 << 20,
	}
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	or(&o.Handshake, d.Handshake)
	or(&o.Connect, d.Connect)
	or(&o.Publish, d.Publish)
	or(&o.FirstMedia, d.FirstMedia)
	or(&o.Idle, d.Idle)
	or(&o.Write, d.Write)
	or(&o.Answer, d.Answer)
	or(&o.MaxMessage, d.MaxMessage)
	return o
}

func or[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
