package rtmp

import "github.com/yutopp/go-rtmp/message"

// ackWindow is how many bytes either side sends before it wants an
// acknowledgement (RTMP 5.4.4).
const ackWindow = 2_500_000

// serverProperties are what encoders look at in the answer to connect; FMLE
// takes a server seriously that calls itself FMS.
var serverProperties = message.NetConnectionConnectResultProperties{
	FMSVer: "FMS/3,5,7,7009", Capabilities: 31, Mode: 1,
}

// fourCCs are the codecs of Enhanced RTMP that are taken ("*" would promise
// those that are not).
var fourCCs = Array{"avc1", "hvc1", "av01", "vp09", "mp4a", "Opus", "fLaC", "ac-3", "ec-3", ".mp3"}

// Masks of Enhanced RTMP v2.
const (
	canDecode  = 1 // FourCcInfoMask
	canForward = 4
	capsEx     = 2 | 4 | 8 // CapsExMask: multitrack, ModEx, its nanoseconds
)

// translate appends the peer's version of go-rtmp's answer, whose values are
// the command's name, its transaction and at least two more.
func (r *reply) translate(dst []byte, values []any) []byte {
	switch r.kind {
	case replyNothing:
		return dst
	case replyConnect:
		values[1] = r.txn
		if o, ok := values[2].(Object); ok {
			values[2] = append(o, r.properties...)
		}
		info, _ := values[3].(Object)
		values[3] = Object{
			{"level", info.Get("level")}, {"code", info.Get("code")},
			{"description", info.Get("description")}, {"objectEncoding", 0},
		}
		return appendMessage(dst, commandChunks, header{typ: typeCommand}, AppendAMF(nil, values...))
	case replyCreateStream:
		values[1] = r.txn
		values[3] = int(r.stream)
		return appendMessage(dst, commandChunks, header{typ: typeCommand}, AppendAMF(nil, values...))
	}
	if r.kind == replyPlay && r.status == nil {
		return r.translatePlay(dst)
	}
	info, _ := values[3].(Object)
	level, s := "error", r.status
	if s == nil {
		level, s = info.String("level"), &Status{info.String("code"), info.String("description")}
	}
	if r.fmle && s.Code == publishStart {
		dst = appendCommand(dst, r.stream, "onFCPublish", 0, nil, s.info(level))
	}
	return appendCommand(dst, r.stream, "onStatus", 0, nil, s.info(level))
}

// enhancedProperties are the server's answer to a client that lists what it can
// do (Enhanced RTMP v2, "Enhancing NetConnection connect Command").
func enhancedProperties() Object {
	video, audio := Object{}, Object{}
	for i, c := range fourCCs {
		m := Member{c.(string), canForward}
		if i < 4 {
			video = append(video, m)
		} else {
			audio = append(audio, m)
		}
	}
	return Object{
		{"fourCcList", fourCCs},
		{"videoFourCcInfoMap", video}, {"audioFourCcInfoMap", audio},
		{"capsEx", capsEx},
	}
}

// appendCommand appends a command message to the peer.
func appendCommand(dst []byte, stream uint32, values ...any) []byte {
	chunks := uint8(commandChunks)
	if stream != 0 {
		chunks = statusChunks
	}
	return appendMessage(dst, chunks, header{typeCommand, stream}, AppendAMF(nil, values...))
}
