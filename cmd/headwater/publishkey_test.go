package main

import (
	"errors"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headwater/ingest"
)

func TestPublishKeyAllows(t *testing.T) {
	tests := []struct {
		addr       string
		shown      string
		configured bool
		allowed    bool
	}{
		{"127.0.0.1", "", false, true},
		{"::1", "", false, true},
		{"::ffff:127.0.0.1", "", false, true},
		{"127.0.0.1", "wrong", false, true},
		{"192.0.2.7", "", false, false},
		{"192.0.2.7", "wrong", false, false},
		{"192.0.2.7", "the-key ", false, false},
		{"192.0.2.7", "the-key", false, true},
		{"2001:db8::1", "the-key", false, true},
		{"127.0.0.1", "", true, false},
		{"127.0.0.1", "the-key", true, true},
		{"192.0.2.7", "the-key", true, true},
	}
	for _, tt := range tests {
		allowed := newPublishKey("the-key", tt.configured).allows(netip.MustParseAddr(tt.addr), tt.shown)
		if allowed != tt.allowed {
			t.Errorf("%s showing %q, configured %v: %v", tt.addr, tt.shown, tt.configured, allowed)
		}
	}
}

func TestAuthorize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newPublishKey("the-key", false)
		for query, wants := range map[string]string{"": "is needed", "key=": "is wrong", "key=wrong": "is wrong", "key=the-key": "", "token=x&key=the-key": ""} {
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err = k.authorize(t.Context(), ingest.PublishRequest{Remote: netip.MustParseAddrPort("192.0.2.7:5"), Query: values})
			waited := time.Since(start)
			if wants == "" {
				if err != nil || waited > 0 {
					t.Errorf("%q: %v after %s", query, err, waited)
				}
				continue
			}
			if _, ok := errors.AsType[*ingest.Refusal](err); !ok || !strings.Contains(err.Error(), wants) || waited != wrongKeyDelay {
				t.Errorf("%q: %v after %s", query, err, waited)
			}
		}
	})
}

func TestPublishKeyIsKept(t *testing.T) {
	data := filepath.Join(t.TempDir(), "a", "data")
	key, path, made, err := loadPublishKey(data)
	if err != nil || !made || len(key) < 26 {
		t.Fatalf("first start: %q, %s, %v, %v", key, path, made, err)
	}
	again, _, made, err := loadPublishKey(data)
	if err != nil || made || again != key {
		t.Errorf("second start: %q, %v, %v; want %q", again, made, err, key)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(data)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if other, _, _, _ := loadPublishKey(t.TempDir()); other == key {
		t.Error("two servers made the same key")
	}
}

func TestPublishKeyFaults(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, publishKeyFile), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, _, _, err := loadPublishKey(data); err == nil {
		t.Errorf("an empty file gave the key %q", key)
	}
	file := filepath.Join(data, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := loadPublishKey(file); err == nil {
		t.Error("a file in the folder's place went unnoticed")
	}
}
