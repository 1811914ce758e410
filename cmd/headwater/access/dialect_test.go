package access

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"headwater/remux"
)

func testEvent(kind eventKind) event {
	e := event{
		kind: kind, time: time.Unix(1767225600, 0), session: "81985529216486", name: remux.Name{App: "live", Stream: "show"}, protocol: RTMP,
		addr: netip.MustParseAddr("203.0.113.7"), client: "FMLE/3.0 (x)", tcURL: "rtmp://origin.example/live", key: "main",
		query: url.Values{"user": {"é & co", "second"}, "Call": {"forged"}, "addr": {"10.0.0.1"}},
	}
	if !kind.asks() {
		e.public = remux.Name{App: "live", Stream: "renamed"}
		e.end = End{"unpublished", 123456, 90*time.Second + 7*time.Millisecond}
	}
	return e
}

// TestEncode pins what each dialect sends.
func TestEncode(t *testing.T) {
	tests := []struct {
		dialect string
		kind    eventKind
		want    string
	}{
		{"headwater", publishBegins, `{"event":"publish","time":1767225600,"session":"81985529216486","app":"live","name":"show","protocol":"rtmp","address":"203.0.113.7","client":"FMLE/3.0 (x)","key":"main","query":{"Call":"forged","addr":"10.0.0.1","user":"é & co"}}`},
		{"headwater", publishEnded, `{"event":"publish_done","time":1767225600,"session":"81985529216486","app":"live","name":"renamed","protocol":"rtmp","address":"203.0.113.7","client":"FMLE/3.0 (x)","key":"main","query":{"Call":"forged","addr":"10.0.0.1","user":"é & co"},"reason":"unpublished","duration_ms":90007,"bytes":123456}`},
		{"nginx-rtmp", publishBegins, `app=live&flashver=FMLE%2F3.0+%28x%29&swfurl=&tcurl=rtmp%3A%2F%2Forigin.example%2Flive&pageurl=&addr=203.0.113.7&clientid=81985529216486&call=publish&name=show&type=live&user=%C3%A9+%26+co&user=second`},
		{"nginx-rtmp", publishEnded, `app=live&flashver=FMLE%2F3.0+%28x%29&swfurl=&tcurl=rtmp%3A%2F%2Forigin.example%2Flive&pageurl=&addr=203.0.113.7&clientid=81985529216486&call=publish_done&name=show&user=%C3%A9+%26+co&user=second`},
		{"nginx-rtmp", playEnded, `app=live&flashver=FMLE%2F3.0+%28x%29&swfurl=&tcurl=rtmp%3A%2F%2Forigin.example%2Flive&pageurl=&addr=203.0.113.7&clientid=81985529216486&call=play_done&name=show&user=%C3%A9+%26+co&user=second`},
		{"srs", publishBegins, `{"server_id":"headwater","service_id":"headwater","action":"on_publish","client_id":"81985529216486","ip":"203.0.113.7","vhost":"__defaultVhost__","app":"live","tcUrl":"rtmp://origin.example/live","stream":"show","param":"?Call=forged&addr=10.0.0.1&user=%C3%A9+%26+co&user=second","stream_url":"/live/show"}`},
		{"srs", publishEnded, `{"server_id":"headwater","service_id":"headwater","action":"on_unpublish","client_id":"81985529216486","ip":"203.0.113.7","vhost":"__defaultVhost__","app":"live","tcUrl":"rtmp://origin.example/live","stream":"show","param":"?Call=forged&addr=10.0.0.1&user=%C3%A9+%26+co&user=second","stream_url":"/live/show","recv_bytes":123456}`},
		{"srs", playEnded, `{"server_id":"headwater","service_id":"headwater","action":"on_stop","client_id":"81985529216486","ip":"203.0.113.7","vhost":"__defaultVhost__","app":"live","tcUrl":"rtmp://origin.example/live","stream":"show","param":"?Call=forged&addr=10.0.0.1&user=%C3%A9+%26+co&user=second","stream_url":"/live/show","send_bytes":123456}`},
	}
	for _, tt := range tests {
		contentType, body := dialects[tt.dialect].encode(testEvent(tt.kind))
		if string(body) != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.dialect, tt.kind.name(), body, tt.want)
		}
		if form := tt.dialect == "nginx-rtmp"; form != (contentType == "application/x-www-form-urlencoded") || !form && contentType != "application/json" {
			t.Errorf("%s: %s", tt.dialect, contentType)
		}
	}
}

// TestEncodeHostile: nothing that an encoder sends breaks out of its field.
func TestEncodeHostile(t *testing.T) {
	e := testEvent(publishBegins)
	hostile := "\r\nX: y\x00&name=other\xff\"}\u2028"
	e.client, e.tcURL, e.page = hostile, hostile, hostile
	e.query = url.Values{hostile: {hostile}, "NAME": {"other"}, "clientid": {"1"}}
	for name, d := range dialects {
		_, body := d.encode(e)
		if strings.ContainsAny(string(body), "\r\n\x00") {
			t.Errorf("%s: %q", name, body)
		}
		if name == "nginx-rtmp" {
			form, err := url.ParseQuery(string(body))
			if err != nil || len(form["name"]) != 1 || form.Has("NAME") || form.Get("name") != "show" || form.Get("clientid") != e.session || form.Get("flashver") != hostile {
				t.Errorf("%v, %v", form, err)
			}
			continue
		}
		if !json.Valid(body) {
			t.Errorf("%s: not JSON: %s", name, body)
		}
	}
}

func TestDecode(t *testing.T) {
	tests := []struct {
		dialect  string
		kind     eventKind
		status   int
		location string
		body     string
		want     string // ok, refused, refused: REASON, renamed: NAME, failure
	}{
		{"headwater", publishBegins, 200, "", ``, "ok"},
		{"headwater", publishBegins, 204, "", ``, "ok"},
		{"headwater", publishBegins, 200, "", `OK`, "ok"},
		{"headwater", publishBegins, 200, "", `{}`, "ok"},
		{"headwater", publishBegins, 200, "", `{"name":"tv/news"}`, "renamed: tv/news"},
		{"headwater", publishBegins, 200, "", ` {"name":"news","more":[1]}`, "renamed: live/news"},
		{"headwater", publishBegins, 200, "", `{"name":"../news"}`, "failure"},
		{"headwater", publishBegins, 200, "", `{"name":"a/b/c"}`, "failure"},
		{"headwater", publishBegins, 200, "", `{"name":"a b"}`, "failure"},
		{"headwater", publishBegins, 200, "", `{"name":7}`, "failure"},
		{"headwater", publishBegins, 200, "", `{"name":"cut off`, "failure"},
		{"headwater", playBegins, 200, "", `{"name":"news"}`, "failure"},
		{"headwater", playBegins, 200, "", `{}`, "ok"},
		{"headwater", publishBegins, 403, "", ``, "refused"},
		{"headwater", publishBegins, 402, "", `{"reason":"the bill is not paid"}`, "refused: the bill is not paid"},
		{"headwater", publishBegins, 403, "", `{"reason":"a\r\nb` + "\u202e" + `c"}`, "refused: abc"},
		{"headwater", publishBegins, 403, "", `{"reason":"` + strings.Repeat("ä", 500) + `"}`, "refused: " + strings.Repeat("ä", 100)},
		{"headwater", publishBegins, 403, "", `<html>`, "refused"},
		{"headwater", publishBegins, 403, "", `{"reason":`, "refused"},
		{"headwater", publishBegins, 302, "/login", ``, "failure"},
		{"headwater", publishBegins, 408, "", ``, "failure"},
		{"headwater", publishBegins, 429, "", ``, "failure"},
		{"headwater", publishBegins, 500, "", `{"name":"tv/news"}`, "failure"},
		{"headwater", publishBegins, 101, "", ``, "failure"},

		{"nginx-rtmp", publishBegins, 200, "", `anything`, "ok"},
		{"nginx-rtmp", publishBegins, 201, "", ``, "ok"},
		{"nginx-rtmp", publishBegins, 302, "news", ``, "renamed: live/news"},
		{"nginx-rtmp", publishBegins, 301, "/news", ``, "renamed: live/news"},
		{"nginx-rtmp", publishBegins, 307, "tv/news", ``, "renamed: tv/news"},
		{"nginx-rtmp", publishBegins, 302, "rtmp://127.0.0.1/tv/news", ``, "renamed: tv/news"},
		{"nginx-rtmp", publishBegins, 302, "rtmp://localhost:1935/tv/news", ``, "renamed: tv/news"},
		{"nginx-rtmp", publishBegins, 302, "RTMP://[::1]/tv/news", ``, "renamed: tv/news"},
		{"nginx-rtmp", publishBegins, 302, "rtmp://other.example/tv/news", ``, "failure"},
		{"nginx-rtmp", publishBegins, 302, "https://login.example/", ``, "failure"},
		{"nginx-rtmp", publishBegins, 302, "", ``, "failure"},
		{"nginx-rtmp", publishBegins, 302, "/", ``, "failure"},
		{"nginx-rtmp", publishBegins, 302, "../../x", ``, "failure"},
		{"nginx-rtmp", publishBegins, 302, "a?b", ``, "failure"},
		{"nginx-rtmp", playBegins, 302, "news", ``, "failure"},
		{"nginx-rtmp", playBegins, 200, "", ``, "ok"},
		{"nginx-rtmp", publishBegins, 404, "", ``, "refused"},
		{"nginx-rtmp", publishBegins, 401, "", ``, "refused"},
		{"nginx-rtmp", publishBegins, 500, "", ``, "failure"},

		{"srs", publishBegins, 200, "", `0`, "ok"},
		{"srs", publishBegins, 201, "", "0\n", "ok"},
		{"srs", publishBegins, 200, "", `{"code":0}`, "ok"},
		{"srs", publishBegins, 200, "", `{"code":0,"data":null,"msg":"OK"}`, "ok"},
		{"srs", publishBegins, 200, "", `1`, "refused"},
		{"srs", publishBegins, 200, "", `-1`, "refused"},
		{"srs", publishBegins, 200, "", `{"code":403,"msg":"not you"}`, "refused: not you"},
		{"srs", publishBegins, 200, "", `{"code":1,"msg":{"a":1}}`, "refused"},
		{"srs", publishBegins, 200, "", ``, "failure"},
		{"srs", publishBegins, 200, "", `ok`, "failure"},
		{"srs", publishBegins, 200, "", `"0"`, "failure"},
		{"srs", publishBegins, 200, "", `null`, "failure"},
		{"srs", publishBegins, 200, "", `[0]`, "failure"},
		{"srs", publishBegins, 200, "", `{}`, "failure"},
		{"srs", publishBegins, 200, "", `{"code":"0"}`, "failure"},
		{"srs", publishBegins, 200, "", `{"code":null}`, "failure"},
		{"srs", publishBegins, 200, "", `{"code":0`, "failure"},
		{"srs", publishBegins, 204, "", ``, "failure"},
		{"srs", publishBegins, 403, "", `0`, "refused"},
		{"srs", publishBegins, 302, "x", `0`, "failure"},
		{"srs", publishBegins, 502, "", `0`, "failure"},
	}
	for _, tt := range tests {
		v, err := dialects[tt.dialect].decode(testEvent(tt.kind), answer{tt.status, tt.location, []byte(tt.body)})
		if got := describe(v, err); got != tt.want {
			t.Errorf("%s %s: %d %s %q: %s (%v); want %s", tt.dialect, tt.kind.name(), tt.status, tt.location, tt.body, got, err, tt.want)
		}
	}
}

func describe(v verdict, err error) string {
	switch {
	case err != nil:
		return "failure"
	case v.refused && v.reason != "":
		return "refused: " + v.reason
	case v.refused:
		return "refused"
	case v.rename != remux.Name{}:
		return "renamed: " + v.rename.String()
	}
	return "ok"
}

// FuzzAnswer: whatever a server answers, what comes out of it is fit for use.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "", []byte(`{"name":"tv/news"}`))
	f.Add(403, "", []byte(`{"reason":"no"}`))
	f.Add(302, "rtmp://127.0.0.1/tv/news", []byte(``))
	f.Add(200, "", []byte(`{"code":0}`))
	f.Fuzz(func(t *testing.T, status int, location string, body []byte) {
		for name, d := range dialects {
			for _, kind := range []eventKind{publishBegins, playBegins} {
				v, err := d.decode(testEvent(kind), answer{status, location, body})
				if err != nil && (v.refused || v.rename != remux.Name{}) {
					t.Fatalf("%s: %+v and %v", name, v, err)
				}
				if err == nil && !v.refused && (status < 200 || status >= 400) {
					t.Fatalf("%s: status %d allows", name, status)
				}
				if (v.rename != remux.Name{}) {
					if _, err := remux.ParseName(v.rename.App, v.rename.Stream); err != nil || kind == playBegins || v.refused {
						t.Fatalf("%s: %+v, %v", name, v, err)
					}
				}
				if len(v.reason) > maxReason || !utf8.ValidString(v.reason) || strings.ContainsFunc(v.reason, unicode.IsControl) {
					t.Fatalf("%s: reason %q", name, v.reason)
				}
			}
		}
	})
}
