package access

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func longKey() Secret { return Secret(rand.Text() + rand.Text()) }

func TestIssue(t *testing.T) {
	c := Tokens{MaxAge: 24 * time.Hour, Secrets: []Key{
		{ID: "new", Key: longKey()},
		{ID: "old", Key: longKey(), Name: "live/*"},
	}}
	tests := []struct {
		order Order
		want  string // what the error says
	}{
		{Order{Action: Publish, Name: "live/show", Expires: 2 * time.Hour}, ""},
		{Order{Action: Publish, Name: "live/*", Expires: 2 * time.Hour, KeyID: "old", From: "203.0.113.7", Once: true, NotBefore: time.Hour}, ""},
		{Order{Action: Play, Name: "*/*", Expires: 24 * time.Hour, KeyID: "new"}, ""},
		{Order{Action: Publish, Name: "*/*", Expires: time.Hour, KeyID: "old"}, `the secret "old" signs for live/* only`},
		{Order{Action: Publish, Name: "test/x", Expires: time.Hour, KeyID: "old"}, `the secret "old" signs for live/* only`},
		{Order{Action: Publish, Name: "live", Expires: time.Hour}, "APP/NAME"},
		{Order{Action: Publish, Name: "live/a b", Expires: time.Hour}, "' '"},
		{Order{Action: Publish, Name: "live/show"}, "tokens.max_age"},
		{Order{Action: Publish, Name: "live/show", Expires: -time.Hour}, "tokens.max_age"},
		{Order{Action: Publish, Name: "live/show", Expires: 25 * time.Hour}, "tokens.max_age"},
		{Order{Action: Publish, Name: "live/show", Expires: time.Hour, NotBefore: time.Hour}, "never valid"},
		{Order{Action: Play, Name: "live/show", Expires: time.Hour, Once: true}, "one use"},
		{Order{Action: Publish, Name: "live/show", Expires: time.Hour, From: "here"}, "not an address"},
		{Order{Action: Publish, Name: "live/show", Expires: time.Hour, KeyID: "gone"}, `the id "gone"`},
		{Order{Action: "record", Name: "live/show", Expires: time.Hour}, "neither for publish nor for play"},
	}
	for _, tt := range tests {
		text, err := c.Issue(tt.order, "", time.Now())
		if tt.want == "" {
			s, loadErr := loadTokenSecrets(c.Secrets, "")
			if err != nil || loadErr != nil {
				t.Errorf("%+v: %v, %v", tt.order, err, loadErr)
				continue
			}
			token, err := Verify(text, func(id string) []byte { k, _ := s.of(id); return k.text }, time.Now(), c.MaxAge)
			begins := tt.order.NotBefore > 0 && textOf(err) == "the token is not valid yet"
			if err != nil && !begins || token.Action != tt.order.Action || token.Name.String() != tt.order.Name || (token.Nonce != "") != tt.order.Once {
				t.Errorf("%+v: %+v, %v", tt.order, token, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %q", tt.order, err, tt.want)
		}
	}
}

// TestLocalSecret: with nothing configured the command makes a secret, which a
// server that is running already finds.
func TestLocalSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "token.key")
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy(t, func(c *Config, o *Options) { o.MadeKey, o.TokenKeyFile = "made-key-made-key", file })
		publish := func(token string) error {
			_, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show?token="+token))
			return err
		}
		if err := publish("hw1.local.e30.AAAA"); textOf(err) != "the token is not valid" {
			t.Errorf("without a secret: %v", err)
		}
		order := Order{Action: Publish, Name: "live/show", Expires: 2 * time.Hour}
		token, err := DefaultConfig().Tokens.Issue(order, file, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := publish(token); err != nil {
			t.Errorf("with the secret: %v", err)
		}
		again, err := DefaultConfig().Tokens.Issue(order, file, time.Now())
		if err != nil || publish(again) != nil {
			t.Errorf("the second token: %v", err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if publish(token) == nil {
			t.Error("removing the secret did not revoke its tokens")
		}
		if err := os.WriteFile(file, []byte("too-short-to-sign\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if r := refusalOf(t, publish(token)); !strings.Contains(r.Detail, "shorter than 32") {
			t.Errorf("a broken secret: %+v", r)
		}
	})
}

// TestLocalSecretGivesWay: what is configured is all that counts.
func TestLocalSecretGivesWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token.key")
	token, err := DefaultConfig().Tokens.Issue(Order{Action: Publish, Name: "live/show", Expires: time.Hour}, file, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := newPolicy(t, func(c *Config, o *Options) {
		o.TokenKeyFile, c.Tokens.Secrets = file, []Key{{ID: "main", Key: longKey()}}
	})
	if _, err := p.Publish(cancelled(t), from(t, "192.0.2.1", "live/show?token="+token)); err == nil {
		t.Error("a token of the local secret is valid though tokens.secrets is set")
	}
}

// cancelled is the context of somebody who does not wait out a delay.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestKeepSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "publish.key")
	var got sync.Map
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			secret, _, err := KeepSecret(path, rand.Text)
			if err != nil {
				t.Error(err)
			}
			got.Store(secret, true)
		})
	}
	wg.Wait()
	n := 0
	got.Range(func(any, any) bool { n++; return true })
	entries, err := os.ReadDir(filepath.Dir(path))
	if n != 1 || err != nil || len(entries) != 1 {
		t.Errorf("%d secrets; left behind %v, %v", n, entries, err)
	}
	for _, text := range []string{"", "\n", "short"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if secret, _, err := KeepSecret(path, rand.Text); err == nil {
			t.Errorf("a file with %q holds the secret %q", text, secret)
		}
	}
	if _, _, err := KeepSecret(filepath.Join(path, "below-a-file"), rand.Text); err == nil {
		t.Error("a file in the folder's place went unnoticed")
	}
}

func TestLoadSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	t.Setenv("TEST_SECRET", "from-the-environment")
	tests := []struct {
		value     Secret
		file, env string
		want      string
		err       string
	}{
		{"plain", "", "", "plain", ""},
		{"", write("good", " from-the-file\r\n"), "", "from-the-file", ""},
		{"", "", "TEST_SECRET", "from-the-environment", ""},
		{"", write("blank", " \n"), "", "", "is empty"},
		{"", write("large", strings.Repeat("x", maxSecretSize+1)), "", "", "larger than"},
		{"", filepath.Join(dir, "none"), "", "", "no such file"},
		{"", "", "TEST_NOT_SET", "", "TEST_NOT_SET is empty or not set"},
		{"", "", "", "", "is empty"},
	}
	for _, tt := range tests {
		got, err := loadSecret(tt.value, tt.file, tt.env)
		if got != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q %q %q: %q, %v; want %q, %q", tt.value, tt.file, tt.env, got, err, tt.want, tt.err)
		}
	}
}
