package rtmp

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestDecodeAMF(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want []any
		err  error
	}{
		{"nothing", nil, nil, nil},
		{"number", wire("00 3ff0000000000000"), []any{1.0}, nil},
		{"negative number", wire("00 c000000000000000"), []any{-2.0}, nil},
		{"boolean", wire("0101 0100 01ff"), []any{true, false, true}, nil},
		{"string", wire("02 0002 6162"), []any{"ab"}, nil},
		{"empty string", wire("02 0000"), []any{""}, nil},
		{"invalid UTF-8", wire("02 0004 61 ff fe 62"), []any{"a\uFFFDb"}, nil},
		{"long string", wire("0c 00000002 6162"), []any{"ab"}, nil},
		{"XML", wire("0f 00000002 6162"), []any{"ab"}, nil},
		{"null, undefined, unsupported", wire("05 06 0d"), []any{nil, Undefined{}, Undefined{}}, nil},
		{"reference", wire("07 0001 05"), []any{Undefined{}, nil}, nil},
		{"date", wire("0b 408f400000000000 0000 05"), []any{1000.0, nil}, nil},
		{"object", wire("03 0001 61 05 0001 62 0101 000009 05"), []any{Object{{"a", nil}, {"b", true}}, nil}, nil},
		{"empty object", wire("03 000009"), []any{Object{}}, nil},
		{"empty name", wire("03 0000 05 000009"), []any{Object{{"", nil}}}, nil},
		{"typed object", wire("10 0001 43 0001 61 05 000009"), []any{Object{{"a", nil}}}, nil},
		{"ECMA array", wire("08 00000001 0001 61 05 000009"), []any{Object{{"a", nil}}}, nil},
		{"ECMA array whose count lies", wire("08 ffffffff 0001 61 05 000009"), []any{Object{{"a", nil}}}, nil},
		{"strict array", wire("0a 00000002 05 0101"), []any{Array{nil, true}}, nil},
		{"nested", wire("03 0001 61 0a 00000001 03 0001 62 05 000009 000009"),
			[]any{Object{{"a", Array{Object{{"b", nil}}}}}}, nil},

		{"number cut", wire("05 00 3ff000"), []any{nil}, nil},
		{"string cut", wire("05 02 0003 6162"), []any{nil}, nil},
		{"string's length cut", wire("05 02 00"), []any{nil}, nil},
		{"long string of 4 GB", wire("05 0c ffffffff 6162"), []any{nil}, nil},
		{"object cut", wire("05 03 0001 61 05 0001"), []any{nil, Object{{"a", nil}}}, nil},
		{"object cut at once", wire("05 03 0001 61"), []any{nil}, nil},
		{"object end alone", wire("05 09 05"), []any{nil}, nil},
		{"movie clip", wire("05 04 05"), []any{nil}, nil},
		{"record set", wire("05 0e 05"), []any{nil}, nil},
		{"AMF 3", wire("05 11 05"), []any{nil}, nil},
		{"unknown marker", wire("05 ee 05"), []any{nil}, nil},

		{"strict array of 2^31-1", wire("0a 7fffffff"), nil, ErrLimit},
		{"strict array of 2^32-1", wire("0a ffffffff 05 05"), nil, ErrLimit},
		{"strict array longer than its message", wire("0a 00000003 05 05"), nil, ErrLimit},
		{"nested arrays", bytes.Repeat(wire("0a 00000001"), 1000), nil, ErrLimit},
		{"nested objects", bytes.Repeat(wire("03 0001 61"), 10000), nil, ErrLimit},
		{"nested ECMA arrays", bytes.Repeat(wire("08 00000001 0001 61"), 10000), nil, ErrLimit},
		{"nested typed objects", bytes.Repeat(wire("10 0000 0001 61"), 10000), nil, ErrLimit},
		{"many values", bytes.Repeat([]byte{amfNull}, maxAMFValues+1), nil, ErrLimit},
		{"many values in an array", append(wire("0a 00002000"), bytes.Repeat([]byte{amfNull}, 0x2000)...), nil, ErrLimit},
		{"many members", append(wire("03"), bytes.Repeat(wire("0001 61 05"), maxAMFValues+1)...), nil, ErrLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			values, err := DecodeAMF(c.b)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err == nil && fmt.Sprintf("%#v", values) != fmt.Sprintf("%#v", c.want) {
				t.Errorf("got %#v, want %#v", values, c.want)
			}
		})
	}
}

func TestDecodeAMFCutsStrings(t *testing.T) {
	b := AppendAMF(nil, strings.Repeat("x", 60_000), "next")
	values, err := DecodeAMF(b)
	if err != nil || len(values) != 2 {
		t.Fatalf("%d values, %v", len(values), err)
	}
	if n := len(values[0].(string)); n != maxAMFString || values[1] != "next" {
		t.Errorf("a string of %d bytes, then %v", n, values[1])
	}
}

func TestDecodeAMFDepth(t *testing.T) {
	nest := func(depth int) []byte {
		return append(bytes.Repeat(wire("0a 00000001"), depth), amfNull)
	}
	if _, err := DecodeAMF(nest(maxAMFDepth)); err != nil {
		t.Errorf("depth %d: %v", maxAMFDepth, err)
	}
	if _, err := DecodeAMF(nest(maxAMFDepth + 1)); !errors.Is(err, ErrLimit) {
		t.Errorf("depth %d: %v", maxAMFDepth+1, err)
	}
}

func TestAppendAMF(t *testing.T) {
	values := []any{
		"onStatus", 1.5, math.Copysign(0, -1), math.Inf(1), true, false, nil, Undefined{}, "",
		Object{{"a", "b"}, {"o", Object{{"x", nil}}}, {"list", Array{1.0, "two", Array{}}}},
	}
	b := AppendAMF(nil, values...)
	back, err := DecodeAMF(b)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%#v", back) != fmt.Sprintf("%#v", values) {
		t.Errorf("got  %#v\nwant %#v", back, values)
	}
	want := wire("02 0001 61", "00 4000000000000000", "05", "03 0001 62 0101 000009")
	if got := AppendAMF(nil, "a", 2, nil, Object{{"b", true}}); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got := AppendAMF(nil, strings.Repeat("x", 70_000)); !bytes.HasPrefix(got, wire("0c 00011170 78")) {
		t.Errorf("a long string begins %x", got[:8])
	}
}

func FuzzDecodeAMF(f *testing.F) {
	f.Add(AppendAMF(nil, "connect", 1, Object{{"app", "live"}, {"fpad", false}}))
	f.Add(wire("0a 7fffffff"))
	f.Add(bytes.Repeat(wire("03 0001 61"), 100))
	f.Add(wire("02 0003 666f6f 0b 408f400000000000 0000 10 0001 43 0001 61 05 000009 07 0001"))
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := DecodeAMF(b)
		if err != nil || len(b) > maxAMFString/2 { // replacing invalid UTF-8 can double a string
			return
		}
		// What was understood survives being written and read again.
		again, err := DecodeAMF(AppendAMF(nil, values...))
		if err != nil || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", values) {
			t.Fatalf("%#v became %#v (%v)", values, again, err)
		}
	})
}
