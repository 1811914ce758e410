package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"headwater/cmd/headwater/access"
	"headwater/cmd/headwater/config"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a token that lets its holder publish or play a name for a while",
		Long: "Prints a token for NAME?token=TOKEN. It is signed with the first of tokens.secrets; without\n" +
			"any, with a secret that is made and kept in the data folder, so that a server with the same\n" +
			"folder knows it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenFor(access.Publish, "Make a token to publish"), newTokenFor(access.Play, "Make a token to play"))
	return cmd
}

func newTokenFor(action access.Action, short string) *cobra.Command {
	o := access.Order{Action: action}
	cmd := &cobra.Command{
		Use:   string(action) + " APP/NAME",
		Short: short,
		Long:  short + ". In APP/NAME, * stands for any run of characters within its half: live/*.",
		Args:  cobra.ExactArgs(1),
		RunE: runs(func(cmd *cobra.Command, args []string) error {
			cfg, _, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			o.Name = args[0]
			token, err := cfg.Tokens.Issue(o, filepath.Join(cfg.Data, tokenKeyFile), time.Now())
			if err != nil {
				return fmt.Errorf("make token: %w", err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		}),
	}
	addConfigFlag(cmd)
	f := cmd.Flags()
	f.String("data", config.Default().Data, "folder for what must outlive a restart")
	f.DurationVar(&o.Expires, "expires", 0, "how long from now it is good, such as 2h (needed)")
	f.DurationVar(&o.NotBefore, "not-before", 0, "how long from now it is not good yet")
	f.StringVar(&o.From, "from", "", "address or network that it is good from; none is anywhere")
	f.StringVar(&o.KeyID, "key-id", "", "which of tokens.secrets signs; none is the first")
	if action == access.Publish {
		f.BoolVar(&o.Once, "once", false, "good for one publish; an encoder cannot reconnect with it")
	}
	_ = cmd.MarkFlagRequired("expires") // it is defined above
	return cmd
}
