package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// TestRun describes the test binary, which has a standard library and no modules.
func TestRun(t *testing.T) {
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run(out, os.Args[0], "headwater", "1.2.3", "2026-01-02T04:04:05+01:00"); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same binary gives different bytes")
	}
	var got document
	if err := json.Unmarshal(first.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(binary)
	if h := got.Metadata.Component.Hashes; len(h) != 1 || h[0].Content != hex.EncodeToString(sum[:]) {
		t.Errorf("hashes %v", h)
	}
	if got.Metadata.Time != "2026-01-02T03:04:05Z" {
		t.Errorf("time %s", got.Metadata.Time)
	}
	// https://cyclonedx.org/schema/bom-1.6.schema.json, serialNumber
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(got.Serial) {
		t.Errorf("serial number %s", got.Serial)
	}
	if std := got.Components[0]; std.PURL != "pkg:golang/stdlib@"+strings.TrimPrefix(strings.Fields(runtime.Version())[0], "go") {
		t.Errorf("standard library %+v", std)
	}
}

func TestDescribeModules(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8 X:boringcrypto",
		Settings:  []debug.BuildSetting{{Key: "-trimpath", Value: "true"}, {Key: "GOARCH", Value: "arm64"}},
		Deps: []*debug.Module{
			{Path: "example.com/a", Version: "v1.0.0", Sum: "h1:a"},
			{Path: "example.com/b", Version: "v2.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v2.0.1"}},
		},
	}
	got := describe(info, [32]byte{}, "headwater", "1.2.3", time.Unix(0, 0))
	want := []string{"pkg:golang/stdlib@1.26.8", "pkg:golang/example.com/a@v1.0.0", "pkg:golang/example.com/fork@v2.0.1"}
	if on := got.Dependencies[0].On; strings.Join(on, " ") != strings.Join(want, " ") {
		t.Errorf("depends on %v, not %v", on, want)
	}
	if set := got.Metadata.Set; len(set) != 1 || set[0].Value != "arm64" {
		t.Errorf("settings %v", set)
	}
}

func TestRunErrors(t *testing.T) {
	for _, tt := range []struct{ path, made string }{
		{os.Args[0], "yesterday"}, {"main.go", "2026-01-02T03:04:05Z"}, {"none", "2026-01-02T03:04:05Z"},
	} {
		if err := run(&bytes.Buffer{}, tt.path, "headwater", "1", tt.made); err == nil {
			t.Errorf("%v is taken", tt)
		}
	}
}
