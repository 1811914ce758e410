package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"headwater/cmd/headwater/config"
)

// flagKeys are the keys that have a flag of their own; the rest is set by file
// or environment.
var flagKeys = map[string]string{
	"rtmp":       "rtmp.listen",
	"rtmps":      "rtmps.listen",
	"http":       "http.listen",
	"https":      "https.listen",
	"admin":      "admin.listen",
	"data":       "data",
	"log-format": "log.format",
	"log-level":  "log.level",
}

func addConfigFlag(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "configuration file (YAML)")
}

func addServeFlags(cmd *cobra.Command) {
	d := config.Default()
	addConfigFlag(cmd)
	cmd.Flags().String("rtmp", d.RTMP.Listen, "address for publishers")
	cmd.Flags().String("rtmps", d.RTMPS.Listen, "address for publishers over TLS; needs rtmps.certificate and rtmps.key")
	cmd.Flags().String("http", d.HTTP.Listen, "address for players and CDNs: media only")
	cmd.Flags().String("https", d.HTTPS.Listen, "the same over TLS; needs https.certificate and https.key")
	cmd.Flags().String("admin", d.Admin.Listen, "address for health and administration")
	cmd.Flags().String("data", d.Data, "folder for what must outlive a restart")
	cmd.Flags().String("log-format", d.Log.Format, "text or json")
	cmd.Flags().String("log-level", d.Log.Level, "debug, info, warn or error")
}

// loadConfig gathers the configuration that a command's flags, the environment
// and the file ask for.
func loadConfig(cmd *cobra.Command) (*config.Config, []string, error) {
	src := config.Source{Environ: os.Environ(), Flags: map[string]string{}}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if key, ok := flagKeys[f.Name]; ok {
			src.Flags[key] = f.Value.String()
		}
		if f.Name == "config" {
			src.File = f.Value.String()
		}
	})
	return config.Load(src)
}
