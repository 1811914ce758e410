// Package configs carries the documented default configuration, so that the
// binary can print it.
package configs

import _ "embed"

// Default is configs/headwater.yaml: every key, its default, and why.
//
//go:embed headwater.yaml
var Default string
