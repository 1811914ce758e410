package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"headwater/configs"
)

// edge is what an edge configuration is made for.
type edge struct {
	Origin string // HOST:PORT
	Scheme string // http or https
	Host   string
	Port   string
	Listen string
	Cache  string // folder
}

// edgeFiles are the kinds of edge and their templates.
var edgeFiles = map[string]string{
	"nginx":      "edge/nginx.conf",
	"varnish":    "edge/varnish.vcl",
	"cloudfront": "edge/cloudfront.json",
}

func newEdge() *cobra.Command {
	var origin string
	e := edge{}
	cmd := &cobra.Command{
		Use:   "edge nginx|varnish|cloudfront",
		Short: "Print the configuration of a caching edge for an origin",
		Long: "Prints the configuration of a caching edge in front of a Headwater at --origin. nginx's goes\n" +
			"where its http block includes it, Varnish's is a whole VCL, CloudFront's are the parts of a\n" +
			"distribution that matter.",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"nginx", "varnish", "cloudfront"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := e.setOrigin(origin); err != nil {
				return fmt.Errorf("--origin: %w", err)
			}
			return e.print(cmd.OutOrStdout(), args[0])
		},
	}
	cmd.Flags().StringVar(&origin, "origin", "http://127.0.0.1:8080", "the origin's public listener, as a URL")
	cmd.Flags().StringVar(&e.Listen, "listen", "80", "what nginx listens on")
	cmd.Flags().StringVar(&e.Cache, "cache", "/var/cache/nginx/headwater", "where nginx keeps its cache")
	return cmd
}

// setOrigin takes an origin's URL apart. It goes into other programs' files, so
// nothing but a host and a port may come out.
func (e *edge) setOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil {
		return err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fmt.Errorf("%q is not http://HOST[:PORT] or https://HOST[:PORT]", origin)
	}
	if strings.ContainsAny(u.Host, " \t\r\n;{}\"'\\") {
		return fmt.Errorf("%q is not a host", u.Host)
	}
	e.Scheme, e.Host, e.Port = u.Scheme, u.Hostname(), u.Port()
	if e.Port == "" {
		e.Port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	e.Origin = e.Host + ":" + e.Port
	if strings.Contains(e.Host, ":") {
		e.Origin = "[" + e.Host + "]:" + e.Port
	}
	return nil
}

func (e *edge) print(w io.Writer, kind string) error {
	if kind == "varnish" && e.Scheme == "https" {
		return fmt.Errorf("varnish speaks no TLS to its backends: put a TLS proxy between, and name that as --origin")
	}
	t, err := template.ParseFS(configs.Edge, edgeFiles[kind])
	if err != nil {
		return failure{err}
	}
	if err := t.Execute(w, e); err != nil {
		return failure{err}
	}
	return nil
}
