package config

import (
	"reflect"
	"strings"
	"testing"

	"headwater/cmd/headwater/access"
)

// TestTrees: the same in each place where it may stand, and secrets as they were
// written.
func TestTrees(t *testing.T) {
	secrets := []access.Key{{ID: "studio", Name: "live/*", Key: "00123"}, {ID: "van", KeyFile: "/run/van"}}
	keys := access.StreamKeys{"sk_1": "live/show", "00123": "live/other", "1.50": "live/third"}
	for name, src := range map[string]Source{
		"block": {File: write(t, `publish:
  secrets:
    - id: studio
      name: live/*
      key: 00123
    - {id: van, key_file: /run/van}
  keys:
    sk_1: live/show
    00123: live/other
    1.50: live/third
`)},
		"flow": {File: write(t, `publish: {secrets: [{id: studio, name: live/*, key: "00123"}, {id: van, key_file: /run/van}], keys: {sk_1: live/show, 00123: live/other, 1.50: live/third}}`)},
		"environment": {Environ: []string{
			"HEADWATER_PUBLISH_SECRETS=[{id: studio, name: live/*, key: 00123}, {id: van, key_file: /run/van}]",
			"HEADWATER_PUBLISH_KEYS={sk_1: live/show, 00123: live/other, 1.50: live/third}",
		}},
	} {
		c, _, err := Load(src)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(c.Publish.Secrets, secrets) || !reflect.DeepEqual(c.Publish.Keys, keys) {
			t.Errorf("%s: got %q and %d of %d keys", name, c.Publish.Secrets, len(c.Publish.Keys), len(keys))
		}
	}
	c, _, err := Load(Source{File: write(t, "publish: {keys: {a: live/b}}"), Environ: []string{"HEADWATER_PUBLISH_KEYS="}})
	if err != nil || len(c.Publish.Keys) > 0 {
		t.Errorf("emptied: %+v, %v", c, err)
	}
}

// TestTreeErrors name the key and its place, and no secret.
func TestTreeErrors(t *testing.T) {
	for text, want := range map[string]string{
		"publish:\n  keys: [hush]":                              ":2: publish.keys: takes a mapping",
		"publish:\n  keys: hush":                                ":2: publish.keys: takes a mapping",
		"publish:\n  keys: {hush: [a]}":                         ":2: publish.keys: entry 1: takes a single value",
		"publish:\n  keys: {? [hush] : a}":                      ":2: ",
		"publish:\n  keys: {hush: a}":                           `:2: publish.keys: "a" is not a public name`,
		"publish:\n  keys:\n    hush: live/a\n    hush: live/b": ":4: a key is given twice",
		"publish:\n  max_failures: 3\n  hush: live/show":        ":3: publish.(not shown): no such key",
		"publish:\n  max_failures: 3\nHUSH: live/show":          ":3: (not shown): no such key",
		"publish:\n  secrets: {id: a, key: hush}":               ":2: publish.secrets: takes a list",
		"publish:\n  secrets: [hush]":                           ":2: publish.secrets: entry 1: is no mapping of id, name, key, key_file, key_env",
		"publish:\n  secrets: [{id: a, hush: hush}]":            ":2: publish.secrets: entry 1: has a key that is none of id,",
		"publish:\n  secrets: [{id: a, key: hush, key_env: X}]": ":2: publish.secrets: entry 1: give one of",
		"jwt:\n  keys:\n  - {alg: none, key: hush}":             `:2: jwt.keys: entry 1: alg "none" is none of`,
		"callbacks:\n  on_play: hush://x":                       ":2: callbacks.on_play: is not a URL",
		"play:\n  access: closed":                               `:2: play.access: "closed" is none of`,
		"tokens:\n  secrets: [{key: hush}]":                     ":2: tokens.secrets: entry 1: id",
		"publish:\n  allow: [10.0.0.0/8, nonsense]":             `:2: publish.allow: "nonsense" is not an address`,
	} {
		_, _, err := Load(Source{File: write(t, text)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(strings.ToLower(err.Error()), "hush") {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
	for _, bad := range []string{"{hush", "hush: [", "a: b\n---\nc: d"} {
		_, _, err := Load(Source{Environ: []string{"HEADWATER_PUBLISH_KEYS=" + bad}})
		if err == nil || !strings.Contains(err.Error(), "HEADWATER_PUBLISH_KEYS: publish.keys: is not YAML") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
