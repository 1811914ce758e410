package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"headwater/cmd/headwater/config"
)

// healthTimeout bounds the whole check; container engines wait longer.
const healthTimeout = 3 * time.Second

func newHealth() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the server on this machine whether it lives; for container health checks",
		Long: "Asks /healthz of the admin listener, whose address it finds as the server does:\n" +
			"--admin, HEADWATER_ADMIN_LISTEN, the file of --config or HEADWATER_CONFIG, the default.",
		Args: cobra.NoArgs,
		RunE: runs(checkHealth),
	}
	addConfigFlag(cmd)
	cmd.Flags().String("admin", config.Default().Admin.Listen, "address of the admin listener")
	return cmd
}

func checkHealth(cmd *cobra.Command, _ []string) error {
	cfg, _, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	address, err := dialAddress(cfg.Admin.Listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	// The server is on this machine: no proxy from the environment has a say.
	client := http.Client{Transport: &http.Transport{}}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<10))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("health is %s", res.Status)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "ok")
	return err
}

// dialAddress turns the address of a listener into one to connect to: a
// listener on every address is reached over loopback.
func dialAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", errors.New("admin.listen has port 0: only the server's log says which port it took")
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip == netip.IPv4Unspecified() {
		host = "127.0.0.1"
	} else if err == nil && ip == netip.IPv6Unspecified() {
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
