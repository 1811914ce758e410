package rtmp

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// Target is what a Client connects to: rtmp://HOST/APP/NAME, taken apart.
type Target struct {
	App   string // with its ?query, if it has one
	TcURL string // rtmp://HOST/APP
	Name  string // of the stream, with its ?query
	// Via are the ids of the servers that the stream comes through, or those that
	// ask for it, this one included. A server that is among them is a loop.
	Via []string
}

// ClientOptions are the bounds of a Client. Zero values have the defaults that the
// comments give.
type ClientOptions struct {
	Open       time.Duration // from the start until the server has accepted. 10 s
	Idle       time.Duration // longest time without media from a server that plays. 30 s
	Write      time.Duration // longest time in which the server takes nothing. 10 s
	MaxMessage int           // bytes of an audio or video message. 8 MiB
}

func (o ClientOptions) withDefaults() ClientOptions {
	or(&o.Open, 10*time.Second)
	or(&o.Idle, 30*time.Second)
	or(&o.Write, 10*time.Second)
	or(&o.MaxMessage, 8<<20)
	return o
}

// Client is the other end of a session: it publishes to a server, or plays from
// one. After Publish or Play one goroutine has to call Next for ever, since it is
// what answers the server; another may write.
type Client struct {
	out  sender
	opts ClientOptions

	// owned by the goroutine that calls Next, and those before it
	in       *ChunkReader
	target   Target
	txn      int
	stream   uint32
	playing  bool
	server   string // what it calls itself among relays
	held     []Message
	ackEvery uint64
	acked    uint64
	pings    bucket
	commands bucket
	now      time.Time
	media    time.Time // of the last media message
}

// clientVersion is what clients of this kind call themselves. Some servers ask for
// no more than that it begins so.
const clientVersion = "FMLE/3.0 (compatible; Headwater)"

// NewClient returns a client on a connection that is open and has said nothing.
// Whoever opened conn closes it.
func NewClient(conn net.Conn, t Target, o ClientOptions) *Client {
	c := &Client{
		opts: o.withDefaults(), target: t, ackEvery: ackWindow / 2,
		pings:    bucket{burst: pingRate, rate: pingRate},
		commands: bucket{burst: commandBurst, rate: commandRate},
	}
	c.out.conn, c.out.timeout = conn, c.opts.Write
	c.in = NewChunkReader((*clientReader)(c), c.admit)
	return c
}

// clientReader reads from a client's connection, for the chunk reader.
type clientReader Client

func (r *clientReader) Read(p []byte) (int, error) {
	n, err := r.out.conn.Read(p)
	r.now = time.Now()
	return n, err
}

// admit decides about a message by its header.
func (c *Client) admit(typ uint8, length int) (keep bool, err error) {
	switch typ {
	case typeAudio, typeVideo, typeAggregate:
		if length > c.opts.MaxMessage {
			return false, limitError("media message too long")
		}
		return c.playing, nil
	case typeData, typeDataAMF3:
		return c.playing && length <= maxControl, nil
	}
	if length > maxControl {
		return false, limitError("control message too long")
	}
	return true, nil
}

// ServerID returns what the server calls itself among relays, "" if it is none of
// ours.
func (c *Client) ServerID() string { return c.server }

// Publish asks the server to take a stream. A *Status is the server's refusal.
func (c *Client) Publish() (*MediaWriter, error) {
	if err := c.open(true); err != nil {
		return nil, err
	}
	out := appendCommand(nil, c.stream, "publish", c.next(), nil, c.target.Name, "live")
	if err := c.await(out, publishStart); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	format := newFormat(c.stream, func(string) bool { return true })
	format.publish = true
	return &MediaWriter{out: &c.out, format: format}, c.started()
}

// Play asks the server for a stream. A *Status is the server's refusal.
func (c *Client) Play() error {
	if err := c.open(false); err != nil {
		return err
	}
	c.playing = true
	// -2: live if there is such a stream (RTMP 7.2.2.1).
	out := appendCommand(nil, c.stream, "play", c.next(), nil, c.target.Name, -2)
	body := binary.BigEndian.AppendUint32([]byte{0, eventBufferLength}, c.stream)
	body = binary.BigEndian.AppendUint32(body, 1000)
	out = appendMessage(out, controlChunks, header{typ: typeUserControl}, body)
	if err := c.await(out, playStart); err != nil {
		return fmt.Errorf("play: %w", err)
	}
	return c.started()
}

// started gives the server its deadlines from now on. One that is published to need
// not say anything.
func (c *Client) started() error {
	if !c.playing {
		return c.out.conn.SetReadDeadline(time.Time{})
	}
	c.media = time.Now()
	return c.out.conn.SetReadDeadline(c.media.Add(c.opts.Idle))
}

// Close says goodbye, so that the server need not find out by itself. The
// connection stays open.
func (c *Client) Close() error {
	var out []byte
	if !c.playing {
		out = appendCommand(out, 0, "FCUnpublish", 0, nil, c.target.Name)
	}
	return c.out.write(appendCommand(out, 0, "deleteStream", 0, nil, int(c.stream)))
}

// open goes as far as a message stream.
func (c *Client) open(publish bool) error {
	if err := c.out.conn.SetDeadline(time.Now().Add(c.opts.Open)); err != nil {
		return err
	}
	if err := c.handshake(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	o := Object{
		{"app", c.target.App}, {"type", "nonprivate"}, {"flashVer", clientVersion}, {"tcUrl", c.target.TcURL},
	}
	if !publish {
		// What a player takes: no proxy, and every codec that RTMP knew.
		o = append(o, Object{{"fpad", false}, {"capabilities", 15}, {"audioCodecs", 4071}, {"videoCodecs", 252}, {"videoFunction", 1}}...)
	}
	o = append(o, Member{"fourCcList", fourCCs})
	if len(c.target.Via) > 0 {
		o = append(o, Member{relayVia, strings.Join(c.target.Via, ",")})
	}
	out := appendMessage(nil, commandChunks, header{typ: typeCommand}, AppendAMF(nil, "connect", c.next(), o))
	info, err := c.call(out, c.txn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if c.server = info.String(relayID); c.server != "" && slices.Contains(c.target.Via, c.server) {
		return ErrLoop
	}
	window := binary.BigEndian.AppendUint32(nil, ackWindow)
	out = appendMessage(nil, controlChunks, header{typ: typeWindowAckSize}, window)
	if publish {
		out = appendCommand(out, 0, "releaseStream", c.next(), nil, c.target.Name)
		out = appendCommand(out, 0, "FCPublish", c.next(), nil, c.target.Name)
	}
	out = appendCommand(out, 0, "createStream", c.next(), nil)
	if _, err := c.call(out, c.txn); err != nil {
		return fmt.Errorf("createStream: %w", err)
	}
	return nil
}

func (c *Client) next() int {
	c.txn++
	return c.txn
}

// handshake plays the client's part (RTMP 5.2), the plain one: every server takes
// it from an encoder.
func (c *Client) handshake() error {
	hello := make([]byte, 1+handshakeSize)
	hello[0] = rtmpVersion
	_, _ = rand.Read(hello[9:]) // never fails
	if err := c.out.raw(hello); err != nil {
		return err
	}
	version, err := c.in.in.next(1)
	if err != nil {
		return unexpected(err)
	}
	if version[0] != rtmpVersion {
		return protocolError(fmt.Sprintf("not RTMP: the first byte is 0x%02x", version[0]))
	}
	var s [handshakeSize]byte
	if err := c.in.in.read(s[:]); err != nil {
		return unexpected(err)
	}
	if err := c.out.raw(s[:]); err != nil { // C2 is S1
		return err
	}
	return unexpected(c.in.in.read(s[:]))
}

// errRejected is a refusal without words.
var errRejected = errors.New("the server refused")

// call sends commands and waits for the answer to the last. It returns what the
// server tells of itself; the number that createStream is answered with goes to
// c.stream.
func (c *Client) call(out []byte, txn int) (properties Object, err error) {
	if err := c.out.write(out); err != nil {
		return nil, err
	}
	for {
		cmd, err := c.command()
		if err != nil {
			return nil, err
		}
		switch {
		case cmd.name == "_result" && cmd.txn == float64(txn):
			if len(cmd.args) > 0 {
				n, _ := cmd.args[0].(float64)
				c.stream = uint32(cleanNumber(n))
			}
			properties, _ = cmd.object.(Object)
			return properties, nil
		case cmd.name == "_error" && cmd.txn == float64(txn), cmd.failed():
			return nil, cmd.refusal()
		}
	}
}

// await sends a command and waits for a status, or for media that is one without
// words.
func (c *Client) await(out []byte, code string) error {
	if err := c.out.write(out); err != nil {
		return err
	}
	for {
		cmd, err := c.command()
		switch {
		case err != nil:
			return err
		case cmd == nil, cmd.status().Code == code:
			return nil
		case cmd.failed(), cmd.name == "_error" && cmd.txn == float64(c.txn):
			return cmd.refusal()
		}
	}
}

// command reads up to the next command. It returns nil when media comes first,
// which it keeps.
func (c *Client) command() (*command, error) {
	for {
		m, err := c.in.ReadMessage()
		if err != nil {
			return nil, unexpected(err)
		}
		cmd, err := c.dispatch(&m)
		if cmd != nil || err != nil {
			return cmd, err
		}
		if len(c.held) > 0 {
			return nil, nil
		}
	}
}

// Next returns the next audio, video or data message of a server that plays. It
// fails with io.EOF when the stream has ended, with a *Status if the server says
// why it ends, and with what went wrong otherwise. Towards a server that is
// published to it returns only when that is over.
func (c *Client) Next() (Message, error) {
	for len(c.held) == 0 {
		if err := c.step(); err != nil {
			if failed := c.out.failed.Load(); failed != nil {
				err = failed
			}
			return Message{}, err
		}
	}
	m := c.held[0]
	c.held = slices.Delete(c.held, 0, 1)
	return m, nil
}

// step reads and handles one message.
func (c *Client) step() error {
	m, err := c.in.ReadMessage()
	if err != nil {
		return err
	}
	cmd, err := c.dispatch(&m)
	if err == nil && cmd != nil {
		err = c.verdict(cmd)
	}
	if err != nil || len(c.held) == 0 || c.now.Sub(c.media) < c.opts.Idle/8 {
		return err
	}
	return c.started()
}

// verdict says whether a command ends the session.
func (c *Client) verdict(cmd *command) error {
	s := cmd.status()
	switch {
	case cmd.name == "close", s.Code == "NetStream.Play.Stop", s.Code == "NetStream.Play.Complete", s.Code == PlayEnded:
		return io.EOF
	case cmd.failed(), s.Code == ConnectClosed:
		return cmd.refusal()
	}
	return nil
}

// status returns what an onStatus says, or the zero value.
func (cmd *command) status() Status {
	if cmd.name != "onStatus" {
		return Status{}
	}
	return cmd.info()
}

// info is the last object of a command.
func (cmd *command) info() Status {
	for _, v := range slices.Backward(append([]any{cmd.object}, cmd.args...)) {
		if o, ok := v.(Object); ok {
			return Status{o.String("code"), cmp.Or(o.String("description"), o.String("details"))}
		}
	}
	return Status{}
}

// failed reports whether a status is one of an error.
func (cmd *command) failed() bool {
	if cmd.name != "onStatus" || len(cmd.args) == 0 {
		return false
	}
	o, _ := cmd.args[0].(Object)
	switch o.String("code") {
	case PublishBadName, PublishDenied, PublishRejected, PlayFailed, PlayNotFound, PlayNoTrack:
		return true
	}
	return o.String("level") == "error"
}

func (cmd *command) refusal() error {
	if s := cmd.info(); s.Code != "" || s.Description != "" {
		return &s
	}
	return errRejected
}
