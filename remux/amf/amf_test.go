package amf

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

// wire reads bytes written in hexadecimal.
func wire(parts ...string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func TestJSON(t *testing.T) {
	tests := []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, ""},
		{"number", wire("00 4094000000000000"), "1280"},
		{"fraction", wire("00 403df851eb851eb8"), "29.97"},
		{"great number", wire("00 46293e5939a08cea"), "1e+30"},
		{"no number", wire("00 7ff8000000000000"), "null"},
		{"endless", wire("00 7ff0000000000000"), "null"},
		{"boolean", wire("0101"), "true"},
		{"string", wire("02 0004 61 22 ff 0a"), "\"a\\\"\uFFFD\\n\""},
		{"long string", wire("0c 00000002 6162"), `"ab"`},
		{"null", wire("05"), "null"},
		{"undefined", wire("06"), "null"},
		{"date", wire("0b 408f400000000000 0000"), "1000"},
		{"object", wire("03 0001 61 05 0001 62 0101 000009"), `{"a":null,"b":true}`},
		{"ECMA array whose count lies", wire("08 ffffffff 0001 61 0101 000009"), `{"a":true}`},
		{"typed object", wire("10 0001 43 0001 61 05 000009"), `{"a":null}`},
		{"list", wire("0a 00000003 05 0100 03 000009"), `[null,false,{}]`},
		{"nested", wire("03 0001 61 0a 00000001 03 0001 62 05 000009 0001 63 0101 000009"), `{"a":[{"b":null}],"c":true}`},
		{"cut", wire("03 0001 61 0101 0001 62 00 40"), `{"a":true}`},
		{"cut in a list", wire("03 0001 61 0a 00000002 0101 ee"), `{"a":[true]}`},
		{"list longer than its message", wire("03 0001 61 0a ffffffff 05"), `{}`},
		{"end left out", wire("08 00000001 0001 61 0101"), `{"a":true}`},
		{"unknown marker", wire("ee"), ""},
		{"too deep", wire(strings.Repeat("0a 00000001", 100), "05"), strings.Repeat("[", maxJSONDepth+1) + strings.Repeat("]", maxJSONDepth+1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(JSON(tt.b)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzJSON(f *testing.F) {
	f.Add(wire("08 00000001 0001 61 00 4094000000000000 000009"))
	f.Add(wire("0a 00000003 05 0100 03 0000 02 0001 ff 000009"))
	f.Add(wire("03 0001 61 0a 00000002 0b 7ff0000000000000 0000 ee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := JSON(b)
		if got != nil && !json.Valid(got) {
			t.Errorf("%x became %s", b, got)
		}
		if len(got) > 6*len(b)+16*maxJSONValues {
			t.Errorf("%d bytes became %d", len(b), len(got))
		}
	})
}
