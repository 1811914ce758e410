package remux

import (
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern   string
		match, no []string
	}{
		{"live/*", []string{"live/x"}, []string{"lively/x"}},
		{"*/cam-*", []string{"x/cam-1"}, nil},
		{"live/x", []string{"live/x"}, []string{"live/xy"}},
		{"live/a.b", nil, []string{"live/aXb"}},
		{"live/show", []string{"live/show"}, []string{"live/show2", "live/", "Live/show", "x/live/show"}},
		{"live/*", []string{"live/show", "live/a.b~c"}, []string{"test/show", "live/"}},
		{"*/*", []string{"a/b"}, []string{"a/", "a/b/c"}},
		{"*/cam-*-hd", []string{"a/cam-1-hd", "b/cam--hd"}, []string{"a/cam-hd", "a/cam-1-sd"}},
		{"a.b/x-y", []string{"a.b/x-y"}, []string{"aXb/x-y"}},
	}
	for _, tt := range tests {
		p, err := ParsePattern(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for want, names := range map[bool][]string{true: tt.match, false: tt.no} {
			for _, name := range names {
				app, stream, _ := strings.Cut(name, "/")
				if stream != "" && p.Match(app, stream) != want {
					t.Errorf("%s matches %s: %v", tt.pattern, name, !want)
				}
			}
		}
	}
	for _, bad := range []string{"", "live", "live/", "/show", "live/a/b", "live/..", "live/a?", "live/[ab]", `live/\*`, "live/ö", strings.Repeat("a", 129) + "/b"} {
		if p, err := ParsePattern(bad); err == nil {
			t.Errorf("%q became %v", bad, p)
		}
	}
	if (Pattern{}).Match("", "") {
		t.Error("the zero pattern matches")
	}
}

func FuzzPattern(f *testing.F) {
	everything, err := ParsePattern("*/*")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("live/*", "live", "show")
	f.Add("*a*b*/**", "aab", "x")
	f.Fuzz(func(t *testing.T, text, app, name string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		if !everything.Match(p.Halves()) {
			t.Fatalf("%q is not within everything", text)
		}
		p.Match(app, name)
	})
}

func TestPatternSingle(t *testing.T) {
	for text, single := range map[string]bool{"live/x": true, "live/*": false, "*/x": false} {
		p, err := ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		if name, ok := p.Single(); ok != single || ok && name.String() != text {
			t.Errorf("%s: %v, %v", text, name, ok)
		}
	}
	if _, ok := (Pattern{}).Single(); ok {
		t.Error("the zero pattern fits one name")
	}
}
