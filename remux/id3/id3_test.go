package id3

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Writers of AMF 0, for messages that no encoder at hand sends.

func str(s string) string { return "\x02" + key(s) }
func key(s string) string { return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s }
func long(s string) string {
	return "\x0c" + string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func num(f float64) string {
	return "\x00" + string(binary.BigEndian.AppendUint64(nil, math.Float64bits(f)))
}

func obj(members ...string) string { return "\x03" + strings.Join(members, "") + "\x00\x00\x09" }

func ecma(members ...string) string {
	return "\x08" + string(binary.BigEndian.AppendUint32(nil, uint32(len(members)))) + strings.Join(members, "") + "\x00\x00\x09"
}

func list(values ...string) string {
	return "\x0a" + string(binary.BigEndian.AppendUint32(nil, uint32(len(values)))) + strings.Join(values, "")
}

// frame is a TXXX frame.
type frame struct{ description, value string }

// parse reads a tag strictly: version 2.4, no flags, nothing but TXXX frames in
// UTF-8, each description once, and not a byte more.
func parse(b []byte) ([]frame, error) {
	size := func(b []byte) (n int) {
		for _, c := range b[:4] {
			if c > 0x7f {
				return -1
			}
			n = n<<7 | int(c)
		}
		return n
	}
	if len(b) < 10 || string(b[:6]) != "ID3\x04\x00\x00" || size(b[6:]) != len(b)-10 || len(b) > MaxSize {
		return nil, fmt.Errorf("header % x of %d bytes", b[:min(10, len(b))], len(b))
	}
	var frames []frame
	for b = b[10:]; len(b) > 0; {
		if len(b) < 11 || string(b[:4]) != "TXXX" || b[8] != 0 || b[9] != 0 || b[10] != 3 {
			return nil, fmt.Errorf("frame % x", b[:min(11, len(b))])
		}
		n := size(b[4:])
		if n < 2 || n > len(b)-10 || !utf8.Valid(b[11:10+n]) {
			return nil, fmt.Errorf("frame of %d bytes: %q", n, b[10:])
		}
		description, value, ok := bytes.Cut(b[11:10+n], []byte{0})
		if !ok || bytes.IndexByte(value, 0) >= 0 {
			return nil, fmt.Errorf("frame %q", b[11:10+n])
		}
		f := frame{string(description), string(value)}
		if slices.ContainsFunc(frames, func(other frame) bool { return other.description == f.description }) {
			return nil, fmt.Errorf("%q twice", f.description)
		}
		frames = append(frames, f)
		b = b[10+n:]
	}
	if len(frames) == 0 {
		return nil, errors.New("no frames")
	}
	return frames, nil
}

// The body that FFmpeg 5.1 sends for a subtitle, byte for byte.
const ffmpegText = "02000a6f6e5465787444617461 08 00000002" +
	"000474797065 02 000454657874 000474657874 02 000548656c6c6f 000009"

// TestTagBytes holds one tag byte for byte.
func TestTagBytes(t *testing.T) {
	body, err := hex.DecodeString(strings.ReplaceAll(ffmpegText, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	got, err := New(body)
	if err != nil {
		t.Fatal(err)
	}
	want := "ID3\x04\x00\x00\x00\x00\x00\x3f" +
		"TXXX\x00\x00\x00\x15\x00\x00\x03onTextData.type\x00Text" +
		"TXXX\x00\x00\x00\x16\x00\x00\x03onTextData.text\x00Hello"
	if string(got) != want {
		t.Errorf("got\n%swant\n%s", hex.Dump(got), hex.Dump([]byte(want)))
	}
}

func TestMapping(t *testing.T) {
	const kept = "\x01\x01" // true
	for _, c := range []struct {
		name, body string
		want       []frame
	}{
		{
			"text", str("onTextData") + obj(key("text")+str("Hello"), key("language")+str("en")),
			[]frame{{"onTextData.text", "Hello"}, {"onTextData.language", "en"}},
		},
		{"a bare value", str("onTextData") + str("Hello"), []frame{{"onTextData", "Hello"}}},
		{"no text", str("onTextData") + obj(key("text")+str("")), []frame{{"onTextData.text", ""}}},
		{
			"timecode", str("onFI") + ecma(key("sd")+str("22-11-2026"), key("st")+str("10:30:00.040")),
			[]frame{{"onFI.sd", "22-11-2026"}, {"onFI.st", "10:30:00.040"}},
		},
		{
			"cue point",
			str("onCuePoint") + obj(key("name")+str("ad"), key("time")+num(12.5), key("type")+str("event"),
				key("parameters")+obj(key("id")+str("7"), key("slots")+list(num(30), num(15)))),
			[]frame{
				{"onCuePoint.name", "ad"}, {"onCuePoint.time", "12.5"}, {"onCuePoint.type", "event"},
				{"onCuePoint.parameters.id", "7"}, {"onCuePoint.parameters.slots.0", "30"}, {"onCuePoint.parameters.slots.1", "15"},
			},
		},
		{
			"every type",
			str("onCuePoint") + ecma(
				key("number")+num(-3), key("true")+kept, key("false")+"\x01\x00", key("null")+"\x05", key("undefined")+"\x06",
				key("unsupported")+"\x0d", key("date")+"\x0b"+num(1.5e12)[1:]+"\x00\x3c", key("long")+long("far"),
				key("xml")+"\x0f"+long("<a/>")[1:], key("typed")+"\x10"+key("Class")+key("a")+kept+"\x00\x00\x09", key("empty")+obj(), key("none")+list()),
			[]frame{
				{"onCuePoint.number", "-3"}, {"onCuePoint.true", "true"}, {"onCuePoint.false", "false"}, {"onCuePoint.date", "1500000000000"},
				{"onCuePoint.long", "far"}, {"onCuePoint.xml", "<a/>"}, {"onCuePoint.typed.a", "true"},
			},
		},
		{
			"numbers",
			str("onCuePoint") + list(num(0), num(1e20), num(1e21), num(0.1), num(1e-7), num(math.Inf(-1)), num(math.NaN()), num(1.0/3)),
			[]frame{
				{"onCuePoint.0", "0"}, {"onCuePoint.1", "100000000000000000000"}, {"onCuePoint.2", "1e+21"}, {"onCuePoint.3", "0.1"},
				{"onCuePoint.4", "1e-07"}, {"onCuePoint.5", "-Inf"}, {"onCuePoint.6", "NaN"}, {"onCuePoint.7", "0.3333333333333333"},
			},
		},
		{
			"text that needs care",
			str("onTextData") + obj(key("a")+str("Grüße\r\n日本"), key("b")+str("\xff\xfe!"), key("c\x00d")+str("e\x00f"), key("")+str("no name"), key("\xc3")+kept),
			[]frame{
				{"onTextData.a", "Grüße\r\n日本"}, {"onTextData.b", "\uFFFD!"}, {"onTextData.cd", "ef"},
				{"onTextData.", "no name"}, {"onTextData.\uFFFD", "true"},
			},
		},
		{
			"the same name twice",
			str("onTextData") + obj(key("a")+str("first"), key("a")+str("second"), key("b.c")+num(1), key("b")+obj(key("c")+num(2))) + str("bare") + str("bare again"),
			[]frame{{"onTextData.a", "first"}, {"onTextData.b.c", "1"}, {"onTextData", "bare"}},
		},
		{"null in front", str("onTextData") + "\x05" + obj(key("text")+str("x")), []frame{{"onTextData.text", "x"}}},
		{"odd bytes behind", str("onTextData") + obj(key("text")+str("x")) + "\x00\x00\x09", []frame{{"onTextData.text", "x"}}},
		{"no object end", str("onTextData") + "\x03" + key("text") + str("x"), []frame{{"onTextData.text", "x"}}},
		{"half an object end", str("onTextData") + "\x03" + key("text") + str("x") + "\x00\x00", []frame{{"onTextData.text", "x"}}},
		{
			"second value cut", str("onTextData") + str("x") + obj(key("a")+num(1), key("b")+num(2))[:20],
			[]frame{{"onTextData", "x"}},
		},
		{"as deep as it goes", str("onTextData") + strings.Repeat("\x03"+key("a"), maxDepth) + num(1), []frame{{"onTextData" + strings.Repeat(".a", maxDepth), "1"}}},
		{"as long as it goes", str("onTextData") + long(strings.Repeat("x", MaxSize-32)), []frame{{"onTextData", strings.Repeat("x", MaxSize-32)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := []byte(c.body)
			if !Carries(body) {
				t.Fatal("is not carried")
			}
			tag, err := New(body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parse(tag)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%v\n got %q\nwant %q", err, got, c.want)
			}
			if string(body) != c.body {
				t.Error("the message was written to")
			}
		})
	}
}

func TestNoTag(t *testing.T) {
	text := str("onTextData") + obj(key("text")+str("Hello"))
	for _, c := range []struct{ name, body, want string }{
		{"nothing", "", "not a timed message"},
		{"another message", str("onMetaData") + obj(key("width")+num(1)), "not a timed message"},
		{"a longer name", str("onTextDatax") + str("x"), "not a timed message"},
		{"a shorter name", str("onTextDat") + str("x"), "not a timed message"},
		{"a name that is cut", text[:8], "not a timed message"},
		{"no string", "\x0c\x00\x00\x00\x04onFI", "not a timed message"},
		{"no value", str("onFI"), "without a value"},
		{"an empty object", str("onFI") + obj(), "without a value"},
		{"only null", str("onFI") + "\x05\x06", "without a value"},
		{"unknown marker", str("onFI") + "\x11", "unknown AMF marker"},
		{"unknown marker within", str("onFI") + obj(key("a")+num(1), key("b")+"\x07\x00\x01"), "unknown AMF marker"},
		{"string cut", text[:len(text)-5], "cut"},
		{"name cut", str("onFI") + "\x03\x00\x09abc", "cut"},
		{"long string cut", str("onFI") + "\x0c\xff\xff\xff\xffabc", "cut"},
		{"number cut", str("onFI") + num(1)[:8], "cut"},
		{"date cut", str("onFI") + "\x0b" + num(1)[1:] + "\x00", "cut"},
		{"boolean cut", str("onFI") + "\x01", "cut"},
		{"list of 2^32-1", str("onFI") + "\x0a\xff\xff\xff\xff\x05\x05", "cut"},
		{"list cut", str("onFI") + "\x0a\x00\x00\x00\x02\x01\x01", "cut"},
		{"ECMA array cut", str("onFI") + "\x08\x00\x00", "cut"},
		{"class name cut", str("onFI") + "\x10\x00\x07abc", "cut"},
		{"too deep", str("onFI") + strings.Repeat("\x03"+key("a"), maxDepth+1) + num(1), "nested too deep"},
		{"lists too deep", str("onFI") + strings.Repeat("\x0a\x00\x00\x00\x01", maxDepth+1) + "\x05", "nested too deep"},
		{"too many values", str("onFI") + list(slices.Repeat([]string{"\x05"}, maxValues+1)...), "too many"},
		{"too long a message", str("onFI") + long(strings.Repeat("x", MaxSize)), "message of"},
		{"too long a tag", str("onTextData") + long(strings.Repeat("x", MaxSize-31)), "more than fits"},
		{"long names make a long tag", str("onFI") + obj(key(strings.Repeat("x", 4000))+list(num(1), num(2), num(3))), "more than fits"},
	} {
		tag, err := New([]byte(c.body))
		if err == nil || !strings.Contains(err.Error(), c.want) || tag != nil {
			t.Errorf("%s: %d bytes, error %v, want %q", c.name, len(tag), err, c.want)
		}
		if Carries([]byte(c.body)) == (c.want == "not a timed message") {
			t.Errorf("%s: carried %v", c.name, Carries([]byte(c.body)))
		}
	}
}

// FuzzNew feeds bodies that a publisher made up. What becomes a tag has to be a
// well-formed one.
func FuzzNew(f *testing.F) {
	f.Add([]byte(str("onTextData") + obj(key("text")+str("Hello"))))
	f.Add([]byte(str("onFI") + ecma(key("sd")+str("22-11-2026"), key("st")+str("10:30:00.040"))))
	f.Add([]byte(str("onCuePoint") + obj(key("parameters")+obj(key("a")+list(num(1), "\x0b"+num(2)[1:]+"\x00\x00", "\x01\x01")), key("a\x00\xff")+"\x10"+key("C")+"\x00\x00\x09")))
	f.Add([]byte(str("onFI") + strings.Repeat("\x03"+key("a"), 20)))
	f.Add([]byte(str("onFI") + "\x0a\xff\xff\xff\xff" + long("x")))
	f.Fuzz(func(t *testing.T, body []byte) {
		tag, err := New(body)
		if err != nil {
			if tag != nil {
				t.Fatal("a tag and an error")
			}
			return
		}
		if !Carries(body) {
			t.Fatal("a tag of what is not carried")
		}
		if _, err := parse(tag); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkNew(b *testing.B) {
	body := []byte(str("onFI") + ecma(key("sd")+str("22-11-2026"), key("st")+str("10:30:00.040")))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(body); err != nil {
			b.Fatal(err)
		}
	}
}
