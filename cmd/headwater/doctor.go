package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"headwater/cmd/headwater/config"
	"headwater/cmd/headwater/doctor"
	"headwater/cmd/headwater/probe"
	"headwater/origin/checkup"
)

func newDoctor() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at this machine and the configuration, and say what to change before serving",
		Long: "Checks configuration, ports, limits, data folder, clock, certificates, kernel settings, memory,\n" +
			"secrets and the names of other servers, with the flags, environment and file that serve would\n" +
			"have, and as the user that would run it. A server that runs is not in its way.\n\n" +
			"Exit code: 0 no problems, 1 problems, 2 wrong usage.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := doctor.Examine(parent(cmd), newPatient(cmd))
			write := func(w io.Writer) error { return writeFindings(w, all) }
			result := checkup.Worst(all)
			if asJSON {
				write = func(w io.Writer) error {
					return writeJSON(w, struct {
						Result   checkup.Severity  `json:"result"`
						Findings []checkup.Finding `json:"findings"`
					}{result, all})
				}
			}
			return told(write(cmd.OutOrStdout()), result == checkup.Problem)
		},
	}
	addServeFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "report as JSON")
	return cmd
}

func newPatient(cmd *cobra.Command) doctor.Patient {
	cfg, warnings, err := loadConfig(cmd)
	limit, _ := raiseDescriptorLimit() // 0, which is too few for anything, where it cannot be read
	return doctor.Patient{
		Config: cfg, Err: err, Warnings: warnings,
		Now: time.Now(), Descriptors: limit, Processors: runtime.GOMAXPROCS(0), KeyFile: publishKeyFile,
		Caps: func(c *config.Config) (rtmp, http int, err error) {
			caps, err := shareDescriptors(limit, c)
			return caps.rtmp, caps.http, err
		},
		Listen:  tryListen,
		Resolve: resolveHost,
		Clock:   doctor.KernelClock,
	}
}

// tryListen binds an address and lets it go again.
func tryListen(ctx context.Context, address string) error {
	l, err := listen(ctx, address)
	if err != nil {
		return err
	}
	return l.Close()
}

func resolveHost(ctx context.Context, host string) error {
	_, err := net.DefaultResolver.LookupHost(ctx, host)
	if ctx.Err() != nil {
		return errors.New("no answer in time")
	}
	return err
}

func writeFindings(w io.Writer, all []checkup.Finding) error {
	b := &strings.Builder{}
	probe.WriteFindings(b, all)
	_, err := fmt.Fprint(w, b.String())
	return err
}
