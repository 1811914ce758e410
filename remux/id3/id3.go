// Package id3 turns the data messages that encoders send between their pictures
// into ID3 tags, the form in which HLS carries timed metadata.
//
// # What becomes what
//
// Three messages have a moment on the timeline and become one ID3v2.4 tag each:
// onTextData (captions, titles), onCuePoint (cue points) and onFI (the timecode of
// a frame). Each value in the message becomes one TXXX frame in UTF-8. Its
// description is the path to the value, the names in front of it joined by dots,
// from the message's own name on; elements of a list count from 0:
//
//	onTextData {text: "Hello", language: "en"}
//	    onTextData.text = Hello
//	    onTextData.language = en
//	onCuePoint {name: "ad", time: 12.5, type: "event", parameters: {id: "7", slots: [30, 15]}}
//	    onCuePoint.name = ad
//	    onCuePoint.time = 12.5
//	    onCuePoint.type = event
//	    onCuePoint.parameters.id = 7
//	    onCuePoint.parameters.slots.0 = 30
//	    onCuePoint.parameters.slots.1 = 15
//	onFI {sd: "22-11-2026", st: "10:30:00.040"}
//	    onFI.sd = 22-11-2026
//	    onFI.st = 10:30:00.040
//
// A value that has no name, as in onTextData "Hello", has the message's name for
// its description. Numbers are decimal, a date is its milliseconds since 1970,
// booleans are true and false; null and undefined values have no frame. Text
// stays as it is, lines and all, except that invalid UTF-8 becomes U+FFFD and
// zero bytes, which end a string in ID3, are left out. No two frames have the
// same description (ID3v2.4 frames, 4.2.6): of two values the first counts.
package id3

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"headwater/remux/amf"
)

// MaxSize bounds a message's body and the tag made from it, in bytes.
const MaxSize = 8 << 10

// names of the messages that become tags.
var names = []string{"onTextData", "onCuePoint", "onFI"}

// Carries says whether a data message, given as the body of its FLV tag, is one
// that becomes a tag.
func Carries(body []byte) bool { return name(body) != "" }

func name(body []byte) string {
	for _, n := range names {
		const header = 3 // AMF 0 marker and length
		if len(body) >= header+len(n) && body[0] == amfString &&
			int(binary.BigEndian.Uint16(body[1:])) == len(n) && string(body[header:][:len(n)]) == n {
			return n
		}
	}
	return ""
}

// New returns the tag for a data message that Carries names; body is not kept. It
// fails for any other message, and for one that is damaged, says nothing, is
// nested too deep, or does not fit into MaxSize. Values behind the first that
// cannot be read are left out: some encoders end their messages with odd bytes.
func New(body []byte) ([]byte, error) {
	n := name(body)
	if n == "" {
		return nil, errors.New("not a timed message")
	}
	if len(body) > MaxSize {
		return nil, fmt.Errorf("message of %d bytes", len(body))
	}
	r := amf.Reader{Rest: body[3+len(n):], MaxDepth: maxDepth, MaxValues: maxValues}
	f := &frames{path: []byte(n), tag: newTag()}
	for len(r.Rest) > 0 {
		whole := len(f.tag.b)
		if err := r.Value(f); err != nil {
			if whole == headerSize {
				return nil, fmt.Errorf("read %s: %w", n, err)
			}
			f.tag.b = f.tag.b[:whole]
			break
		}
	}
	if len(f.tag.b) == headerSize {
		return nil, fmt.Errorf("%s without a value", n)
	}
	return f.tag.finish(), nil
}

// tag is an ID3v2.4 tag in the making.
type tag struct {
	b    []byte
	seen map[string]bool // descriptions
}

const headerSize = 10 // of a tag, and of a frame

var errTooLong = errors.New("more than fits into a tag")

func newTag() tag {
	const version = 4
	return tag{b: append(make([]byte, 0, 256), 'I', 'D', '3', version, 0, 0, 0, 0, 0, 0), seen: map[string]bool{}}
}

// add appends a TXXX frame, unless there is one of that description.
func (t *tag) add(description, value []byte) error {
	const utf8 = 3 // text encoding (ID3v2.4 structure, 4)
	description, value = clean(description), clean(value)
	if t.seen[string(description)] {
		return nil
	}
	size := 1 + len(description) + 1 + len(value)
	if size > MaxSize-headerSize-len(t.b) {
		return errTooLong
	}
	t.seen[string(description)] = true
	t.b = append(t.b, "TXXX"...)
	t.b = appendSize(t.b, size)
	t.b = append(t.b, 0, 0, utf8) // behind the flags
	t.b = append(t.b, description...)
	t.b = append(t.b, 0)
	t.b = append(t.b, value...)
	return nil
}

// finish fills in the length.
func (t *tag) finish() []byte {
	appendSize(t.b[:6], len(t.b)-headerSize)
	return t.b
}

// appendSize appends a number as ID3v2.4 does: 7 bits a byte (structure, 6.2).
func appendSize(dst []byte, n int) []byte {
	return append(dst, byte(n>>21)&0x7f, byte(n>>14)&0x7f, byte(n>>7)&0x7f, byte(n)&0x7f)
}

// clean makes text safe for a frame.
func clean(b []byte) []byte {
	b = bytes.ToValidUTF8(b, []byte("\uFFFD"))
	return bytes.ReplaceAll(b, []byte{0}, nil)
}
