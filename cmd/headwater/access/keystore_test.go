package access

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKeyStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "keys.json")
	s, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that nothing needs: %v", err)
	}
	studio, secret, err := s.Create("studio", "live/studio-*")
	if err != nil || len(secret) < 20 || studio.ID != "studio" {
		t.Fatalf("%+v, %v", studio, err)
	}
	made, other, err := s.Create("", "")
	if err != nil || made.ID == "" || other == secret {
		t.Fatalf("%+v, %v", made, err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), secret) || strings.Contains(string(text), other) {
		t.Errorf("kept %s, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	for order, want := range map[[2]string]error{
		{"studio", ""}: ErrKeyExists, {"a b", ""}: ErrKeyOrder, {strings.Repeat("x", 65), ""}: ErrKeyOrder, {"x", "no slash"}: ErrKeyOrder,
	} {
		if _, _, err := s.Create(order[0], order[1]); !errors.Is(err, want) {
			t.Errorf("%q: %v", order, err)
		}
	}
	again, err := OpenKeys(path)
	if err != nil || fmt.Sprint(again.Keys()) != fmt.Sprint(s.Keys()) {
		t.Fatalf("read again: %v, %v", again.Keys(), err)
	}

	p := newPolicy(t, func(_ *Config, o *Options) { o.Kept = again })
	publish := func(name, key string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // who is wrong waits
		defer cancel()
		g, err := p.Publish(ctx, from(t, "203.0.113.5", "live/"+name+"?key="+key))
		if err != nil {
			return ""
		}
		return g.Key
	}
	if id := publish("studio-1", secret); id != "studio" {
		t.Errorf("published with %q", id)
	}
	if id := publish("other", other); id != made.ID {
		t.Errorf("published with %q", id)
	}
	if id := publish("other", secret); id != "" {
		t.Errorf("a key for other names is good: %q", id)
	}
	if err := again.Revoke("studio"); err != nil {
		t.Fatal(err)
	}
	if id := publish("studio-1", secret); id != "" {
		t.Error("a revoked key is good")
	}
	if err := again.Revoke("studio"); !errors.Is(err, ErrNoKey) {
		t.Errorf("revoked twice: %v", err)
	}
}

func TestKeyStoreDamaged(t *testing.T) {
	for _, text := range []string{"{", `[{"id":"a","sha256":"12"}]`, `[{"id":"a","name":"/","sha256":"` + strings.Repeat("0", 64) + `"}]`} {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKeys(path); err == nil || !strings.Contains(err.Error(), "keys.json") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestKeyStoreBounded(t *testing.T) {
	s, err := OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	s.keys = make([]KeptKey, maxKeptKeys)
	if _, _, err := s.Create("one", ""); !errors.Is(err, ErrTooManyKeys) {
		t.Errorf("one too many: %v", err)
	}
}
