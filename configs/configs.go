// Package configs carries the documented default configuration and the edge
// configurations, so that the binary can print them.
package configs

import "embed"

// Default is configs/headwater.yaml: every key, its default, and why.
//
//go:embed headwater.yaml
var Default string

// Edge holds the edge configurations, as text/template sources of the Edge type of
// package main: edge/nginx.conf, edge/varnish.vcl, edge/cloudfront.json.
//
//go:embed edge
var Edge embed.FS
