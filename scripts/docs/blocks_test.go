package docs

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	page, err := Parse(strings.ReplaceAll(`# Title
<!-- docs: server stream -->
'''sh test
echo 1
'''
'''text output
1
'''
'''sh
not run
'''
'''sh test background
sleep 100
'''
'''yaml test
a: b
'''
`, "'''", "```"))
	if err != nil {
		t.Fatal(err)
	}
	want := Page{Server: true, Stream: true, Blocks: []Block{
		{Line: 3, Kind: "sh", Code: "echo 1\n", Output: []string{"1"}},
		{Line: 12, Kind: "sh", Background: true, Code: "sleep 100\n"},
		{Line: 15, Kind: "yaml", Code: "a: b\n"},
	}}
	if !reflect.DeepEqual(page, want) {
		t.Errorf("got %+v\nwant %+v", page, want)
	}
}

func TestParseFaults(t *testing.T) {
	for name, text := range map[string]string{
		"no end":           "'''sh test\necho 1\n",
		"misspelt":         "'''sh tset\necho 1\n'''\n",
		"output of none":   "'''text output\n1\n'''\n",
		"output of output": "'''sh test\n'''\n'''text output\n1\n'''\n'''text output\n1\n'''\n",
	} {
		if _, err := Parse(strings.ReplaceAll(text, "'''", "```")); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestMissing(t *testing.T) {
	const printed = "HTTP/1.1 200 OK\r\nDate: today\r\nX: 12 of 34\r\n\r\nbody"
	for _, c := range []struct {
		wanted  []string
		missing string
	}{
		{[]string{"HTTP/1.1 200 OK", "body"}, ""},
		{[]string{"HTTP/1.1 … OK", "X: … of …"}, ""},
		{[]string{"…: today", "body"}, ""},
		{[]string{"X: … to …"}, "X: … to …"},
		{[]string{"body", "Date: today"}, "Date: today"},
		{[]string{"HTTP/1.1"}, "HTTP/1.1"},
		{[]string{"body", "body"}, "body"},
	} {
		if got := Missing(c.wanted, printed); got != c.missing {
			t.Errorf("%q: %q is missing, want %q", c.wanted, got, c.missing)
		}
	}
}
