// Command headwater is the origin that a live video CDN pulls from: RTMP in,
// HLS and HTTP-FLV out.
//
// This package parses flags, gathers the configuration, wires ingest, remux and
// origin together by hand and ends them in order. It knows nothing of media.
//
// # Signals
//
// SIGTERM and SIGINT drain: /readyz turns to 503, listeners close, publishers end,
// viewers get what is left, and answers under way finish within shutdown.grace; a
// second signal ends at once. SIGHUP reads the configuration again and drops nobody,
// as POST /api/v1/reload does, and opens the access log anew. SIGUSR2 starts the program
// again, which may be another by then, and hands the listeners over to it; then this
// process drains. Package handover says how the two agree.
//
// # Listeners from outside
//
// Listeners may be handed over by a service manager (LISTEN_FDS, as systemd's socket
// activation has it) under the names rtmp, rtmps, http, https and admin, each in place
// of the configured address. It keeps them open while the server restarts: connections
// wait, and nobody is refused.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"headwater/cmd/headwater/config"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// Exit codes: what a script may count on.
const (
	exitOK     = 0
	exitFailed = 1 // it was asked for rightly and did not work
	exitUsage  = 2 // wrong flags, arguments or configuration
)

// run executes one command line and returns its exit code.
func run(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "headwater: %v\n", err)
	}
	return exitCode(err)
}

// failure marks an error of a command that was called correctly. What is not
// marked came from parsing the command line.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[failure](err); ok {
		return exitFailed
	}
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "headwater",
		Short:         "The origin a live video CDN pulls from: RTMP in, HLS and HTTP-FLV out",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newServe(), newConfig(), newToken(), newEdge(), newHealth(), newProbe(), newDoctor(), newVersion())
	return root
}

// runs turns a command's body into what cobra calls and marks its errors.
func runs(body func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := body(cmd, args); err != nil {
			return failure{err}
		}
		return nil
	}
}
