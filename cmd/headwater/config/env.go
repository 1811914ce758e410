package config

import (
	"regexp"
	"strings"
)

// FileVariable names the configuration file as --config does. It exists so that
// a container's health check, which is a process of its own, finds the file
// that the server runs with.
const FileVariable = EnvPrefix + "CONFIG"

// serviceLink matches the variables that Kubernetes and Docker links set for a
// neighbour whose name begins with "headwater".
var serviceLink = regexp.MustCompile(`^HEADWATER_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// readEnv applies the environment, a list of NAME=VALUE. An unknown HEADWATER_
// variable is a warning and not an error: what else is in the environment is
// not always the operator's choice (an orchestrator adds names of its own, an
// image carries those of another version), and a server that does not start
// because of its neighbours is worse than a line in the log.
func (l *loader) readEnv(environ []string) {
	names := make(map[string]leaf, len(l.leaves))
	for key, leaf := range l.leaves {
		names[EnvName(key)] = leaf
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		leaf, known := names[name]
		switch {
		case !strings.HasPrefix(name, EnvPrefix) || name == FileVariable || serviceLink.MatchString(name):
		case known:
			l.set(leaf, value, name)
		default:
			hint := ""
			if key := nearestKey(strings.TrimPrefix(name, EnvPrefix)); key != "" {
				hint = "; did you mean " + EnvName(key) + "?"
			}
			l.warnings = append(l.warnings, "environment variable "+name+" sets no key"+hint)
		}
	}
}

func lookup(environ []string, name string) string {
	for _, pair := range environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}
