package rtmp

import "time"

// Handler is what a session reports to. All its methods are called on one
// goroutine, in the order of the messages that caused them.
type Handler interface {
	// Publish asks for permission to publish. A *Status that is returned is
	// told to the peer, any other error becomes a general refusal; the
	// connection is then closed. After nil, Write is called until Unpublish.
	Publish(p Publish) error
	// Write takes one media message: its type is 8, 9 or 18, its timestamp in
	// milliseconds as it came. It owns tag, which flv.NewTag made. An error
	// ends the session.
	Write(typ uint8, timestamp uint32, tag []byte) error
	// Unpublish ends what Publish began, exactly once. err is nil if the peer
	// did so in order, with a command, and else what ended the session.
	Unpublish(err error)
	// Closed is called last, when the connection has been closed; err is what
	// ended it.
	Closed(err error)
}

// Publish is a request to publish.
type Publish struct {
	Connect Connect
	Name    string // the stream's name, with whatever ?query the peer gave it
}

// Connect is what a peer says about itself. All of it is free text of at most
// 8 KB each.
type Connect struct {
	App      string // with whatever ?query the peer gave it
	TcURL    string
	FlashVer string // names the encoder
	Type     string

	enhanced bool // it asked for Enhanced RTMP's capabilities
}

// Codes of Status that encoders know. They give up at these with a message to
// the user, and try for ever at others.
const (
	PublishBadName  = "NetStream.Publish.BadName"
	PublishDenied   = "NetStream.Publish.Denied"
	PublishRejected = "NetStream.Publish.Rejected"
	ConnectClosed   = "NetConnection.Connect.Closed" // at this one they come back
	playFailed      = "NetStream.Play.Failed"
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

// Options are the bounds of a session. Zero values mean DefaultOptions'.
type Options struct {
	Handshake  time.Duration // from the start to the end of the handshake
	Connect    time.Duration // from there to the connect command
	Publish    time.Duration // from there to an accepted publish
	FirstMedia time.Duration // from there to the first media message
	Idle       time.Duration // longest time without a complete media message
	Write      time.Duration // for one write of replies
	MaxMessage int           // bytes of an audio or video message
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		Handshake:  10 * time.Second,
		Connect:    20 * time.Second,
		Publish:    20 * time.Second,
		FirstMedia: 30 * time.Second,
		Idle:       30 * time.Second,
		Write:      5 * time.Second,
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
	or(&o.MaxMessage, d.MaxMessage)
	return o
}

func or[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
