package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"headwater/cmd/headwater/probe"
)

func newProbe() *cobra.Command {
	var watch time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "probe URL",
		Short: "Watch a stream as a player would, and say what is wrong with it and what to change",
		Long: "Watches an HLS, HTTP-FLV or HTTP-TS address of any server and reports on codecs, rates, key\n" +
			"frames, timing, playlists, headers and low latency. Ctrl-C ends it early, with what it has seen.\n\n" +
			"Exit code: 0 no problems, 1 problems or not reachable, 2 wrong usage.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if watch < probe.Shortest || watch > probe.Longest {
				return fmt.Errorf("--duration: %s is not between %s and %s", watch, probe.Shortest, probe.Longest)
			}
			ctx, stop := signal.NotifyContext(parent(cmd), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			r, err := probe.Run(ctx, args[0], watch)
			if err != nil {
				return err // the URL cannot be asked for: wrong usage
			}
			write := r.WriteText
			if asJSON {
				write = func(w io.Writer) error { return writeJSON(w, r) }
			}
			return told(write(cmd.OutOrStdout()), r.Failed())
		},
	}
	cmd.Flags().DurationVar(&watch, "duration", 20*time.Second, "how long to watch")
	cmd.Flags().BoolVar(&asJSON, "json", false, "report as JSON")
	return cmd
}

// parent returns a command's context, which is nil for one that was not run with any.
func parent(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// errProblems ends a command whose report has said everything.
var errProblems = errors.New("problems were found")

// told returns how a command ends that has written a report, or failed to.
func told(err error, problems bool) error {
	switch {
	case err != nil:
		return failure{err}
	case problems:
		return failure{errProblems}
	}
	return nil
}
