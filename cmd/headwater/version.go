package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by release builds: -ldflags "-X main.version=1.2.3 -X main.commit=… -X
// main.date=…", date being when the commit was made. What is not set comes from
// what the go command recorded.
var version, commit, date string

// build is where a binary comes from.
type build struct {
	Version string
	Commit  string // with "+changes" where the sources were not exactly that
	Date    string // of the commit, RFC 3339
	Go      string // release and platform

	revision string // Commit alone
	modified *bool  // nil: nothing was recorded
	modules  []linkedModule
}

// linkedModule is one that is in the binary. Its sum is that of what was built, also where
// it replaces another.
type linkedModule struct {
	Path     string `json:"path"`
	Version  string `json:"version"`
	Sum      string `json:"sum,omitempty"`
	Replaces string `json:"replaces,omitempty"`
}

func buildInfo() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describe(info, version, commit, date)
}

// describe puts together what the go command recorded and what the build set.
func describe(info *debug.BuildInfo, version, commit, date string) build {
	b := build{Version: version, revision: commit, Date: date}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.revision = cmp.Or(b.revision, s.Value)
		case "vcs.time":
			b.Date = cmp.Or(b.Date, s.Value)
		case "vcs.modified":
			modified := s.Value == "true"
			b.modified = &modified
		}
	}
	if info.Main.Version != "(devel)" {
		b.Version = cmp.Or(b.Version, info.Main.Version)
	}
	b.Version = cmp.Or(b.Version, "development")
	b.revision = cmp.Or(b.revision, "unknown")
	b.Date = cmp.Or(b.Date, "unknown")
	b.Commit = b.revision
	if b.modified != nil && *b.modified {
		b.Commit += "+changes"
	}
	b.Go = runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	for _, d := range info.Deps {
		m := linkedModule{Path: d.Path, Version: d.Version, Sum: d.Sum}
		if r := d.Replace; r != nil {
			m = linkedModule{Path: r.Path, Version: r.Version, Sum: r.Sum, Replaces: d.Path + "@" + d.Version}
		}
		b.modules = append(b.modules, m)
	}
	return b
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and its time, Go version and platform",
		Long: "Prints what this binary was built from: version, commit, when the commit was made,\n" +
			"Go version and platform. +changes behind the commit says that the sources differed from\n" +
			"it. With --json also the modules that are linked in.",
		Args: cobra.NoArgs,
		RunE: runs(func(cmd *cobra.Command, _ []string) error {
			b := buildInfo()
			if asJSON {
				return b.writeJSON(cmd.OutOrStdout())
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "headwater %s\ncommit %s\nfrom %s\n%s\n", b.Version, b.Commit, b.Date, b.Go)
			return err
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the modules that are linked in")
	return cmd
}

func (b build) writeJSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(struct {
		Version  string         `json:"version"`
		Commit   string         `json:"commit"`
		Time     string         `json:"commit_time"`
		Modified *bool          `json:"modified"` // null: the build recorded nothing of it
		Go       string         `json:"go"`
		OS       string         `json:"os"`
		Arch     string         `json:"arch"`
		Modules  []linkedModule `json:"modules"`
	}{b.Version, b.revision, b.Date, b.modified, runtime.Version(), runtime.GOOS, runtime.GOARCH, b.modules})
}
