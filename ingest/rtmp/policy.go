package rtmp

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	gortmp "github.com/yutopp/go-rtmp"
	"github.com/yutopp/go-rtmp/message"
)

// command decides what becomes of a command message: go-rtmp gets those that
// are legal in the session's state, the rest is answered here.
func (g *guard) command(m *Message) error {
	body := m.body()
	if m.Type == typeCommandAMF3 && len(body) > 0 && body[0] == 0 {
		body = body[1:] // AMF 0 follows; real AMF 3 never does
	}
	if !g.commands.take(g.now) {
		return limitError("too many commands")
	}
	if err := g.out.settle(); err != nil {
		return err
	}
	cmd, ok, err := parseCommand(body, m.StreamID)
	if err != nil {
		return err
	}
	if !ok {
		g.ignored.Add(1)
		return nil
	}
	switch {
	case cmd.name == "connect":
		return g.onConnect(&cmd)
	case g.connect != nil:
		return g.onCommand(&cmd)
	}
	switch cmd.name {
	case "createStream", "publish", "play":
		return protocolError(cmd.name + " before connect")
	}
	g.ignored.Add(1)
	return nil
}

func (g *guard) onConnect(cmd *command) error {
	if g.connect != nil {
		s := Status{"NetConnection.Connect.Failed", "this connection is connected already"}
		return g.reply(0, "_error", cmd.txn, nil, s.info("error"))
	}
	c := cmd.connect()
	g.connect = &c
	g.arm(g.opts.Publish)
	object := Object{
		{"app", short(c.App)}, {"type", short(c.Type)},
		{"flashVer", short(c.FlashVer)}, {"tcUrl", short(c.TcURL)},
	}
	g.give(&reply{kind: replyConnect, txn: cmd.txn, properties: g.properties()}, 0, "connect", 1, object)
	return nil
}

// properties are what the peer's connect asks to be told beside the usual.
func (g *guard) properties() (o Object) {
	if g.connect.enhanced {
		o = enhancedProperties()
	}
	if g.connect.Via != nil && g.opts.RelayID != "" {
		o = append(o, Member{relayID, g.opts.RelayID})
	}
	return o
}

// short cuts what go-rtmp need not see the end of.
func short(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 1024)], "")
}

// onCommand handles the commands of a connected peer (RTMP 7.2).
func (g *guard) onCommand(cmd *command) error {
	switch cmd.name {
	case "createStream":
		id, _, ok := g.streams.create()
		if !ok {
			return g.reply(0, "_error", cmd.txn, nil, Undefined{})
		}
		g.give(&reply{kind: replyCreateStream, txn: cmd.txn, stream: id}, 0, "createStream", 1, nil)
		return nil
	case "publish":
		return g.onPublish(cmd)
	case "play":
		return g.onPlay(cmd)
	case "FCPublish":
		g.publish.fmle = true
	case "FCUnpublish":
		return g.onFCUnpublish(cmd)
	case "closeStream":
		return g.onCloseStream(cmd)
	case "deleteStream":
		return g.onDeleteStream(cmd)
	case "getStreamLength":
		if cmd.txn != 0 { // ffmpeg wants a number; 0 is what nobody knows
			return g.reply(0, "_result", cmd.txn, nil, 0)
		}
	case "_result", "_error", "onStatus":
		return nil
	}
	if cmd.txn == 0 {
		return nil
	}
	// releaseStream, FCPublish and FCSubscribe want no more than this, nor do
	// pause and seek, which mean nothing to a live stream, and what we do not know:
	// Haivision's encoders call _checkbw and wait.
	return g.reply(0, "_result", cmd.txn, nil, Undefined{})
}

// onPublish gives a publish command to go-rtmp, on a message stream of which
// go-rtmp knows even if the peer has not created it.
func (g *guard) onPublish(cmd *command) error {
	if g.publish.active || g.view != nil {
		s := Status{PublishBadName, "this connection is publishing or playing already"}
		return g.reply(cmd.stream, "onStatus", 0, nil, s.info("error"))
	}
	g.useStream(cmd.stream)
	g.current = &reply{kind: replyStatus, stream: cmd.stream, fmle: g.publish.fmle}
	g.give(g.current, g.streams.lookup(g.publish.slot), "publish", 0, nil, cmd.text(0), "live")
	return nil
}

// useStream makes id the message stream of what follows. One that is not open,
// such as 0, shares a slot with all of its kind.
func (g *guard) useStream(id uint32) {
	g.publish.stream, g.publish.slot = id, id
	if g.streams.lookup(id) != 0 {
		return
	}
	g.publish.slot = 0
	if g.streams.lookup(0) != 0 {
		return
	}
	g.streams.open(0)
	g.give(&reply{kind: replyNothing}, 0, "createStream", 1, nil)
}

func (g *guard) onFCUnpublish(cmd *command) error {
	if err := g.unpublish(true); err != nil {
		return err
	}
	s := Status{unpublishDone, "unpublished"}
	out := appendCommand(nil, cmd.stream, "onFCUnpublish", 0, nil, s.info("status"))
	if cmd.txn != 0 {
		out = appendCommand(out, 0, "_result", cmd.txn, nil, Undefined{})
	}
	return g.out.write(out)
}

func (g *guard) onCloseStream(cmd *command) error {
	if cmd.stream != g.publish.stream {
		return nil
	}
	g.unplay()
	return g.unpublish(true)
}

func (g *guard) onDeleteStream(cmd *command) error {
	id := cmd.streamID(0)
	if id == g.publish.stream {
		g.unplay()
		if err := g.unpublish(false); err != nil {
			return err
		}
	}
	inner := g.streams.lookup(id)
	if id == 0 || inner == 0 {
		return nil
	}
	g.streams.drop(id)
	g.give(nil, 0, "deleteStream", 0, nil, int(inner))
	return nil
}

// unpublish ends publishing in order; the peer may publish again, or play. go-rtmp
// does not let it on the same message stream, so go-rtmp's is made anew.
func (g *guard) unpublish(tell bool) error {
	if !g.publish.active {
		return nil
	}
	stream, slot := g.publish.stream, g.publish.slot
	g.publish = publication{}
	g.early = early{since: g.in.in.total}
	g.handler.Unpublish(nil)
	g.arm(g.opts.Publish)
	if tell {
		s := Status{unpublishDone, "unpublished"}
		if err := g.reply(stream, "onStatus", 0, nil, s.info("status")); err != nil {
			return err
		}
	}
	g.renew(slot)
	return nil
}

// renew makes go-rtmp forget what a message stream was used for.
func (g *guard) renew(slot uint32) {
	inner := g.streams.lookup(slot)
	g.streams.drop(slot)
	g.give(nil, 0, "deleteStream", 0, nil, int(inner))
	if slot != 0 {
		g.streams.open(slot)
		g.give(&reply{kind: replyNothing}, 0, "createStream", 1, nil)
	}
}

// give queues a command for go-rtmp. r says what to make of its answer; it is
// nil if there will be none.
func (g *guard) give(r *reply, stream uint32, values ...any) {
	if r != nil {
		g.out.expect(r)
	}
	g.pending = appendMessage(g.pending, commandChunks, header{typeCommand, stream}, AppendAMF(nil, values...))
}

// reply sends a command that go-rtmp has no part in.
func (g *guard) reply(stream uint32, values ...any) error {
	return g.out.write(appendCommand(nil, stream, values...))
}

// userControl answers pings (RTMP 7.1.7), as many as are reasonable.
func (g *guard) userControl(m *Message) error {
	event, number, err := m.event()
	switch {
	case errors.Is(err, errUnknownEvent):
		return g.strange()
	case err != nil:
		return err
	case event != eventPingRequest || !g.pings.take(g.now):
		return nil
	}
	pong := append([]byte{0, eventPingResponse}, number...)
	return g.out.write(appendMessage(nil, controlChunks, header{typ: typeUserControl}, pong))
}

// setWindow obeys Window Acknowledgement Size (RTMP 5.4.4), within reason.
func (g *guard) setWindow(m *Message) error {
	n, err := m.control()
	if err != nil {
		return err
	}
	g.ackEvery = max(64<<10, min(uint64(n), ackWindow)/2)
	return nil
}

// acknowledge tells the peer how much has come (RTMP 5.4.3).
func (g *guard) acknowledge() error {
	g.acked = g.in.in.total
	n := binary.BigEndian.AppendUint32(nil, uint32(g.acked))
	return g.out.write(appendMessage(nil, controlChunks, header{typ: typeAck}, n))
}

// events is what go-rtmp calls, between two Reads of the guard.
type events struct {
	gortmp.DefaultHandler
	g *guard
}

// OnPublish asks the Handler.
func (e *events) OnPublish(_ *gortmp.StreamContext, _ uint32, cmd *message.NetStreamPublish) error {
	g := e.g
	err := g.guarded(func() error {
		return g.handler.Publish(Publish{Connect: *g.connect, Name: cmd.PublishingName})
	})
	if err != nil {
		return g.refuse(err, Status{PublishRejected, "publishing was refused"})
	}
	g.publish.active, g.publish.media = true, false
	g.in.maxParked, g.in.maxStreams = maxParked, maxChunkStreams
	g.now = time.Now() // the Handler may have taken its time
	g.arm(g.opts.FirstMedia)
	return nil
}

// refuse ends the session with err, which the peer is told if it is a *Status, and
// else in general words.
func (g *guard) refuse(err error, general Status) error {
	s, ok := errors.AsType[*Status](err)
	if !ok {
		s = &general
	}
	g.current.status = s
	if g.stopped.Load() != nil {
		g.current.kind = replyNothing // it has been told why; a refusal would keep it from coming back
	}
	g.linger = true
	g.end(err)
	return err
}
