package ingest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"headwater/ingest/rtmp"
	"headwater/remux"
)

// FuzzRequest reads names, parameters and free text as peers send them: a name
// that comes through is a name, text can be logged, and printing a request shows
// none of it.
func FuzzRequest(f *testing.F) {
	f.Add("live", "rtmp://host/live", "x?key=secret", "FMLE/3.0")
	f.Add("live?key=secret", "rtmp://host:1935/live?a=b&a=c", "/x/", "OBS\r\n\x1b[31m")
	f.Add("../live", "", "..%2f..?%zz=1&;", "\xff\xfe")
	f.Add("live/instance", "rtmp://host/live/instance?token=", "x?", strings.Repeat("ü", 200))
	f.Fuzz(func(t *testing.T, app, url, key, encoder string) {
		r, err := newRequest(netip.MustParseAddrPort("192.0.2.1:1"), rtmp.Publish{
			Connect: rtmp.Connect{App: app, TcURL: url, FlashVer: encoder}, Name: key,
		})
		if err == nil {
			if again, err := remux.ParseName(r.Name.App, r.Name.Stream); err != nil || again != r.Name {
				t.Fatalf("%q: %v", r.Name, err)
			}
			if strings.ContainsAny(r.Name.String(), "?&%\\ \r\n\x00") || strings.Count(r.Name.String(), "/") != 1 {
				t.Fatalf("%q is taken for a name", r.Name)
			}
		}
		for _, text := range []string{r.Encoder, r.TCURL} {
			if len(text) > longestURL || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
				t.Fatalf("%q is to be logged", text)
			}
		}
		for _, shown := range []string{fmt.Sprint(r), fmt.Sprintf("%+v %#v", r, r), r.LogValue().String()} {
			if len(key) > 12 && strings.Contains(shown, key) {
				t.Fatalf("shown: %s", shown)
			}
		}
	})
}
