package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Source is where values come from, besides the defaults.
type Source struct {
	File    string            // path of a YAML file; "": the one that HEADWATER_CONFIG names, or none
	Environ []string          // NAME=VALUE, as os.Environ returns them
	Flags   map[string]string // key to value, of the flags that were given
}

// Error lists everything that is wrong with a configuration, so that it can be
// put right in one go.
type Error struct {
	Problems []Problem
}

// Problem is one wrong value or key.
type Problem struct {
	Where string // FILE:LINE, the environment variable, or the flag; "" for a default
	Key   string // "" when it is about the file as a whole
	Text  string
}

// Error returns one line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// String returns "FILE:LINE: KEY: TEXT".
func (p Problem) String() string {
	parts := slices.DeleteFunc([]string{p.Where, p.Key, p.Text}, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

// Load gathers and checks a configuration. Warnings are for the log; an error
// is an *Error.
func Load(src Source) (cfg *Config, warnings []string, err error) {
	c := Default()
	l := newLoader(&c)
	if file := cmp.Or(src.File, lookup(src.Environ, FileVariable)); file != "" {
		l.readFile(file)
	}
	l.readEnv(src.Environ)
	for _, key := range slices.Sorted(maps.Keys(src.Flags)) {
		l.set(l.leaves[key], src.Flags[key], flagName(key))
	}
	if len(l.problems) == 0 {
		l.validate()
	}
	if len(l.problems) > 0 {
		return nil, l.warnings, &Error{l.problems}
	}
	return &c, l.warnings, nil
}

// flagName returns the flag of a key: log.format is --log-format, and a
// listener's flag is the listener's name alone.
func flagName(key string) string {
	return "--" + strings.ReplaceAll(strings.TrimSuffix(key, ".listen"), ".", "-")
}

// loader fills a Config and remembers where each value came from.
type loader struct {
	config   *Config
	leaves   map[string]leaf
	where    map[string]string
	problems []Problem
	warnings []string
}

func newLoader(c *Config) *loader {
	l := &loader{config: c, leaves: map[string]leaf{}, where: map[string]string{}}
	for _, leaf := range leaves(c) {
		l.leaves[leaf.key] = leaf
	}
	return l
}

func (l *loader) fail(p Problem) { l.problems = append(l.problems, p) }

func (l *loader) set(leaf leaf, value, where string) {
	if err := leaf.set(value); err != nil {
		l.fail(Problem{where, leaf.key, err.Error()})
	}
	l.where[leaf.key] = where
}

func (l *loader) isSection(path string) bool {
	for key := range l.leaves {
		if strings.HasPrefix(key, path+".") {
			return true
		}
	}
	return false
}
