// Command sbom prints the bill of materials of a Go binary as CycloneDX 1.6 JSON,
// from what the go command recorded in it: the modules that are linked in, and the
// standard library. The same binary gives the same bytes.
//
//	sbom -name headwater -version 1.2.3 -time 2026-01-02T03:04:05Z BINARY
package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

func main() {
	name := flag.String("name", "", "what the binary is called")
	version := flag.String("version", "", "its version")
	made := flag.String("time", "", "when it was made: the commit's time, RFC 3339")
	flag.Parse()
	if err := run(os.Stdout, flag.Arg(0), *name, *version, *made); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, path, name, version, made string) error {
	at, err := time.Parse(time.RFC3339, made)
	if err != nil {
		return fmt.Errorf("read -time: %w", err)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read build information of %s: %w", path, err)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(describe(info, sha256.Sum256(binary), name, version, at))
}

// The parts of the format that are used: https://cyclonedx.org/docs/1.6/json/
type document struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Time      string     `json:"timestamp"`
	Component component  `json:"component"`
	Set       []property `json:"properties,omitempty"`
}

type component struct {
	Ref     string     `json:"bom-ref"`
	Type    string     `json:"type"`
	Name    string     `json:"name"`
	Version string     `json:"version"`
	PURL    string     `json:"purl"`
	Hashes  []hash     `json:"hashes,omitempty"`
	Set     []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn"`
}

// describe returns the document of a binary with the SHA-256 sum.
func describe(info *debug.BuildInfo, sum [32]byte, name, version string, at time.Time) document {
	purl := func(path, version string) string { return "pkg:golang/" + path + "@" + version }
	self := component{
		Type: "application", Name: name, Version: version, PURL: "pkg:generic/" + name + "@" + version,
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}},
	}
	self.Ref = self.PURL
	d := document{
		Format: "CycloneDX", Spec: "1.6", Serial: serial(sum), Version: 1,
		Metadata: metadata{Time: at.UTC().Format(time.RFC3339), Component: self},
	}
	for _, s := range info.Settings { // which platform, which revision
		if strings.HasPrefix(s.Key, "GO") || strings.HasPrefix(s.Key, "vcs") || s.Key == "CGO_ENABLED" {
			d.Metadata.Set = append(d.Metadata.Set, property{"headwater:go:" + s.Key, s.Value})
		}
	}
	std := strings.TrimPrefix(info.GoVersion, "go")
	std, _, _ = strings.Cut(std, " ")
	d.Components = []component{{Type: "library", Name: "stdlib", Version: std, PURL: purl("stdlib", std)}}
	for _, m := range info.Deps {
		linked := cmp.Or(m.Replace, m)
		c := component{Type: "library", Name: linked.Path, Version: linked.Version, PURL: purl(linked.Path, linked.Version)}
		if linked.Sum != "" {
			c.Set = []property{{"headwater:go:sum", linked.Sum}}
		}
		d.Components = append(d.Components, c)
	}
	all := make([]string, len(d.Components))
	for i := range d.Components {
		d.Components[i].Ref = d.Components[i].PURL
		all[i] = d.Components[i].Ref
	}
	d.Dependencies = []dependency{{self.Ref, all}}
	return d
}

// serial makes the document's UUID of the binary's sum (RFC 9562, version 8: of the
// maker's own design).
func serial(sum [32]byte) string {
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
