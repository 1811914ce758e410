package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"headwater/cmd/headwater/config"
	"headwater/configs"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration file, or print the documented defaults",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "check FILE",
			Short: "Check a file alone, without flags and environment",
			Args:  cobra.ExactArgs(1),
			RunE:  runs(checkConfig),
		},
		&cobra.Command{
			Use:   "default",
			Short: "Print every key with its default and what it is for",
			Args:  cobra.NoArgs,
			RunE: runs(func(cmd *cobra.Command, _ []string) error {
				_, err := fmt.Fprint(cmd.OutOrStdout(), configs.Default)
				return err
			}),
		},
	)
	return cmd
}

func checkConfig(cmd *cobra.Command, args []string) error {
	if _, _, err := config.Load(config.Source{File: args[0]}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", args[0])
	return err
}
