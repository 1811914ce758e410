package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by release builds: -ldflags "-X main.version=1.2.3 -X main.commit=… -X
// main.date=…". What is not set comes from what the go command recorded.
var version, commit, date string

// build is where a binary comes from.
type build struct {
	Version, Commit, Date, Go string
}

func buildInfo() build {
	b := build{Version: version, Commit: commit, Date: date}
	if info, ok := debug.ReadBuildInfo(); ok {
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		recorded := settings["vcs.revision"]
		if recorded != "" && settings["vcs.modified"] == "true" {
			recorded += "+changes"
		}
		b.Commit = cmp.Or(b.Commit, recorded)
		b.Date = cmp.Or(b.Date, settings["vcs.time"])
		if info.Main.Version != "(devel)" {
			b.Version = cmp.Or(b.Version, info.Main.Version)
		}
	}
	b.Version = cmp.Or(b.Version, "development")
	b.Commit = cmp.Or(b.Commit, "unknown")
	b.Date = cmp.Or(b.Date, "unknown")
	b.Go = runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	return b
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit, build date and Go version",
		Args:  cobra.NoArgs,
		RunE: runs(func(cmd *cobra.Command, _ []string) error {
			b := buildInfo()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "headwater %s\ncommit %s\nbuilt %s\n%s\n", b.Version, b.Commit, b.Date, b.Go)
			return err
		}),
	}
}
