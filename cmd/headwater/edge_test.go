package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestEdgePrintsForTheOriginGiven(t *testing.T) {
	for kind, want := range map[string]string{
		"nginx":      "server origin.example:8443;",
		"varnish":    `.host = "origin.example";`,
		"cloudfront": `"DomainName": "origin.example"`,
	} {
		var out, errs bytes.Buffer
		if code := run([]string{"edge", kind, "--origin", "http://origin.example:8443"}, &out, &errs); code != exitOK {
			t.Errorf("%s: exit code %d, %s", kind, code, errs.String())
		}
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "{{") {
			t.Errorf("%s: no %q in\n%s", kind, want, out.String())
		}
		if kind == "cloudfront" && !json.Valid(out.Bytes()) {
			t.Errorf("%s: not JSON", kind)
		}
	}
}

func TestEdgeRefusesWhatIsNoOrigin(t *testing.T) {
	for _, args := range [][]string{
		{"nginx", "--origin", "ftp://x"},
		{"nginx", "--origin", "http://"},
		{"nginx", "--origin", "http://a;b"},
		{"nginx", "--origin", "http://a/path"},
		{"nginx", "--origin", "http://user:secret@a"},
		{"varnish", "--origin", "https://a"},
		{"squid"},
		{},
	} {
		var out, errs bytes.Buffer
		if code := run(append([]string{"edge"}, args...), &out, &errs); code != exitUsage || out.Len() > 0 {
			t.Errorf("%v: exit code %d, %q", args, code, out.String())
		}
	}
}
