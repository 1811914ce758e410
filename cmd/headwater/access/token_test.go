package access

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"

	"headwater/origin/peer"
	"headwater/remux"
)

var (
	testSecret = []byte("0123456789abcdef0123456789abcdef")
	testNow    = time.Unix(1767225600, 0) // 2026-01-01
)

func secretOf(id string) []byte {
	if id == "main" {
		return testSecret
	}
	return nil
}

func testToken(t testing.TB) Token {
	return Token{KeyID: "main", Action: Publish, Name: pattern(t, "live/show"), Expires: testNow.Add(time.Hour)}
}

// TestTokenFormat pins the format with a token that was made with openssl:
// others write these too.
func TestTokenFormat(t *testing.T) {
	const (
		payload = `{"act":"publish","name":"live/*","exp":1767229200,"nbf":1767222000,"ip":"203.0.113.0/24","nonce":"n1"}`
		mac     = "Dl6IG3MTAkACllTQgNvCrRL3dt7VeZxdxyTd9vfgLg4"
	)
	want := "hw1.main." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + mac
	network, err := peer.ParseNetwork("203.0.113.0/24")
	if err != nil {
		t.Fatal(err)
	}
	made := Token{
		KeyID: "main", Action: Publish, Name: pattern(t, "live/*"), Expires: testNow.Add(time.Hour),
		NotBefore: testNow.Add(-time.Hour), From: network, Nonce: "n1",
	}
	text, err := Sign(made, testSecret)
	if err != nil || text != want {
		t.Errorf("got  %s, %v\nwant %s", text, err, want)
	}
	read, err := Verify(want, secretOf, testNow, 24*time.Hour)
	if err != nil || read != made {
		t.Errorf("got %+v, %v\nwant %+v", read, err, made)
	}
}

func TestTokenTimes(t *testing.T) {
	tests := []struct {
		about     string
		expires   time.Duration
		notBefore time.Duration // 0: none
		want      string
	}{
		{"an hour", time.Hour, 0, ""},
		{"expired within the skew", -29 * time.Second, 0, ""},
		{"expired", -30 * time.Second, 0, "the token has expired"},
		{"as long as can be", 24*time.Hour + 30*time.Second, 0, ""},
		{"longer", 24*time.Hour + 31*time.Second, 0, "the token is valid for longer than tokens are accepted here"},
		{"begins within the skew", time.Hour, 30 * time.Second, ""},
		{"begins later", time.Hour, 31 * time.Second, "the token is not valid yet"},
	}
	for _, tt := range tests {
		token := testToken(t)
		token.Expires = testNow.Add(tt.expires)
		if tt.notBefore != 0 {
			token.NotBefore = testNow.Add(tt.notBefore)
		}
		text, err := Sign(token, testSecret)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Verify(text, secretOf, testNow, 24*time.Hour)
		if got := textOf(err); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.about, got, tt.want)
		}
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestTokenTampering changes every character, and leaves out every part.
func TestTokenTampering(t *testing.T) {
	text, err := Sign(testToken(t), testSecret)
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		for _, c := range []byte("Aa0_.") {
			changed := text[:i] + string(c) + text[i+1:]
			if changed == text {
				continue
			}
			if _, err := Verify(changed, secretOf, testNow, 24*time.Hour); err == nil {
				t.Errorf("changed at %d: %s", i, changed)
			}
		}
		if _, err := Verify(text[:i], secretOf, testNow, 24*time.Hour); err == nil {
			t.Errorf("cut at %d", i)
		}
	}
	for _, other := range []string{"", ".", "...", "hw1...", text + ".", text + "A", text + "\n", " " + text, "hw2" + text[3:], strings.Repeat("a", 5000)} {
		if _, err := Verify(other, secretOf, testNow, 24*time.Hour); err == nil {
			t.Errorf("accepted %.50q", other)
		}
	}
	if _, err := Verify(text, func(string) []byte { return []byte("another secret of thirty-two char") }, testNow, 24*time.Hour); err == nil {
		t.Error("accepted with another secret")
	}
}

// TestSignedNonsense: what is signed may still be unusable.
func TestSignedNonsense(t *testing.T) {
	sign := func(payload string) string {
		signed := "hw1.main." + base64.RawURLEncoding.EncodeToString([]byte(payload))
		return signed + "." + base64.RawURLEncoding.EncodeToString(tokenMAC(signed, testSecret))
	}
	good := `{"act":"publish","name":"live/show","exp":1767229200}`
	if _, err := Verify(sign(good), secretOf, testNow, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{
		``, `null`, `[]`, `{}`, `"x"`, good + `{}`, good + `x`,
		`{"act":"publish","name":"live/show"}`,
		`{"act":"publish","name":"live/show","exp":0}`,
		`{"act":"publish","name":"live/show","exp":-1}`,
		`{"act":"publish","name":"live/show","exp":1e40}`,
		`{"act":"publish","name":"live/show","exp":9223372036854775807}`,
		`{"act":"publish","name":"live/show","exp":"1767229200"}`,
		`{"act":"record","name":"live/show","exp":1767229200}`,
		`{"act":"publish","name":"live","exp":1767229200}`,
		`{"act":"publish","name":"live/../x","exp":1767229200}`,
		`{"act":"publish","name":"live/show","exp":1767229200,"ip":"nowhere"}`,
		`{"act":"publish","name":"live/show","exp":1767229200,"nbf":-5}`,
		`{"act":"publish","name":"live/show","exp":1767229200,"only_on":"sundays"}`,
		`{"act":"publish","name":"live/show","exp":1767229200,"nonce":"` + strings.Repeat("n", 65) + `"}`,
	} {
		if token, err := Verify(sign(payload), secretOf, testNow, 24*time.Hour); err == nil {
			t.Errorf("%s: accepted as %+v", payload, token)
		}
	}
}

func TestTokenAllows(t *testing.T) {
	network, err := peer.ParseNetwork("203.0.113.0/24")
	if err != nil {
		t.Fatal(err)
	}
	token := testToken(t)
	token.Name = pattern(t, "live/cam-*")
	bound := token
	bound.From = network
	tests := []struct {
		token     Token
		action    Action
		addr      string
		app, name string
		want      string
	}{
		{token, Publish, "192.0.2.1", "live", "cam-1", ""},
		{token, Play, "192.0.2.1", "live", "cam-1", "the token is for publish, not for play"},
		{token, Publish, "192.0.2.1", "live", "show", "the token is for another name"},
		{token, Publish, "192.0.2.1", "test", "cam-1", "the token is for another name"},
		{bound, Publish, "203.0.113.9", "live", "cam-1", ""},
		{bound, Publish, "192.0.2.1", "live", "cam-1", "the token is for another address"},
		{bound, Publish, "2001:db8::1", "live", "cam-1", "the token is for another address"},
	}
	for _, tt := range tests {
		if got := textOf(tt.token.allows(tt.action, netip.MustParseAddr(tt.addr), tt.app, tt.name)); got != tt.want {
			t.Errorf("%s %s/%s from %s: %q, want %q", tt.action, tt.app, tt.name, tt.addr, got, tt.want)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	good := testToken(t)
	for about, change := range map[string]func(*Token){
		"no key id":    func(t *Token) { t.KeyID = "" },
		"dotted id":    func(t *Token) { t.KeyID = "a.b" },
		"no action":    func(t *Token) { t.Action = "" },
		"no name":      func(t *Token) { t.Name = remux.Pattern{} },
		"no expiry":    func(t *Token) { t.Expires = time.Time{} },
		"a long nonce": func(t *Token) { t.Nonce = strings.Repeat("n", 65) },
	} {
		token := good
		change(&token)
		if text, err := Sign(token, testSecret); err == nil {
			t.Errorf("%s: signed as %s", about, text)
		}
	}
}

func FuzzVerify(f *testing.F) {
	text, err := Sign(testToken(f), testSecret)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("hw1.main.e30.AAAA")
	f.Add("hw1....")
	f.Fuzz(func(t *testing.T, s string) {
		token, err := Verify(s, secretOf, testNow, 24*time.Hour)
		if err != nil {
			if strings.Contains(err.Error(), string(testSecret)) {
				t.Error("the secret is in the error")
			}
			return
		}
		if s != text {
			t.Fatalf("a token that was never signed is valid: %+v", token)
		}
	})
}

// FuzzPayload: payloads as if they were signed.
func FuzzPayload(f *testing.F) {
	f.Add([]byte(`{"act":"publish","name":"live/*","exp":1767229200,"nbf":1767222000,"ip":"203.0.113.0/24","nonce":"n1"}`))
	f.Add([]byte(`{"act":"play","name":"*/*","exp":1}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		token, err := parsePayload("main", base64.RawURLEncoding.EncodeToString(payload))
		if err != nil {
			return
		}
		text, err := Sign(token, testSecret)
		if err != nil {
			t.Fatalf("%s was read and cannot be written: %v", payload, err)
		}
		again, err := Verify(text, secretOf, token.Expires, 24*time.Hour)
		if err != nil && !token.NotBefore.After(token.Expires) || err == nil && again != token {
			t.Fatalf("%+v came back as %+v, %v", token, again, err)
		}
	})
}
