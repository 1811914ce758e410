package relay

import (
	"errors"
	"fmt"
	"headwater/remux"
	"io"
	"os"
	"strings"
	"time"
)

// Config is what an operator can set. Both lists may be empty.
type Config struct {
	Push []Push `yaml:"push"`
	Pull []Pull `yaml:"pull"`
}

// Push is where streams of some names are sent. The URL is given in one of three
// ways.
type Push struct {
	Name    string `yaml:"name"`     // APP/NAME or a pattern such as live/*
	URL     URL    `yaml:"url"`      // rtmp[s]://HOST[:PORT]/APP/NAME[?QUERY]; {app} and {name} stand for the stream's
	URLFile string `yaml:"url_file"` // the file that holds it
	URLEnv  string `yaml:"url_env"`  // the environment variable that holds it
}

// Pull is where streams of some names are fetched. The URL is given in one of three
// ways.
type Pull struct {
	Name    string        `yaml:"name"`     // APP/NAME, or a pattern such as live/* where it is on demand
	URL     URL           `yaml:"url"`      // as in Push
	URLFile string        `yaml:"url_file"` // the file that holds it
	URLEnv  string        `yaml:"url_env"`  // the environment variable that holds it
	Always  bool          `yaml:"always"`   // false: when somebody wants it
	Idle    time.Duration `yaml:"idle"`     // on demand, it ends when nobody has wanted it for this long; 0: 30 s
}

const (
	defaultIdle = 30 * time.Second
	minIdle     = 5 * time.Second
	maxIdle     = 24 * time.Hour
)

// Problem is a value that cannot be used.
type Problem struct {
	Key  string // of the configuration: relay.push
	Text string
}

// String returns "KEY: TEXT".
func (p Problem) String() string { return p.Key + ": " + p.Text }

// Validate checks everything that can be checked without reading files and
// variables. No text repeats a URL.
func (c Config) Validate() (problems []Problem) {
	report := func(key string, entry int, err error) {
		if err != nil {
			problems = append(problems, Problem{key, fmt.Sprintf("entry %d: %v", entry+1, err)})
		}
	}
	for i, p := range c.Push {
		_, err := parseName(p.Name)
		report("relay.push", i, err)
		report("relay.push", i, source{p.URL, p.URLFile, p.URLEnv}.check())
	}
	for i, p := range c.Pull {
		pattern, err := parseName(p.Name)
		report("relay.pull", i, err)
		report("relay.pull", i, source{p.URL, p.URLFile, p.URLEnv}.check())
		if _, single := pattern.Single(); err == nil && p.Always && !single {
			report("relay.pull", i, fmt.Errorf("name: %s is a pattern; what is pulled always needs a whole name", p.Name))
		}
		if p.Idle != 0 && (p.Idle < minIdle || p.Idle > maxIdle) {
			report("relay.pull", i, fmt.Errorf("idle: %s is not between %s and %s", p.Idle, minIdle, maxIdle))
		}
	}
	return problems
}

// parseName reads the pattern of an entry. Its errors say that they are about the
// name.
func parseName(s string) (remux.Pattern, error) {
	p, err := remux.ParsePattern(s)
	if errors.Is(err, remux.ErrPattern) {
		err = fmt.Errorf("name: %w", err)
	}
	return p, err
}

// source is where a URL is given.
type source struct {
	url       URL
	file, env string
}

func (s source) check() error {
	given := 0
	for _, set := range []bool{s.url != "", s.file != "", s.env != ""} {
		if set {
			given++
		}
	}
	if given != 1 {
		return fmt.Errorf("needs one of url, url_file and url_env")
	}
	if s.url == "" {
		return nil
	}
	_, err := parseTemplate(string(s.url))
	return err
}

// maxURLFile bounds what is read.
const maxURLFile = 64 << 10

// load returns the template that is in the one place that is named.
func (s source) load() (template, error) {
	text := string(s.url)
	switch {
	case s.file != "":
		f, err := os.Open(s.file)
		if err != nil {
			return template{}, fmt.Errorf("url_file: %w", err)
		}
		defer func() { _ = f.Close() }()
		b, err := io.ReadAll(io.LimitReader(f, maxURLFile))
		if err != nil {
			return template{}, fmt.Errorf("url_file: %w", err)
		}
		text = string(b)
	case s.env != "":
		text = os.Getenv(s.env)
	}
	t, err := parseTemplate(strings.TrimSpace(text))
	switch {
	case err != nil && s.file != "":
		err = fmt.Errorf("url_file: %s: %w", s.file, err)
	case err != nil && s.env != "":
		err = fmt.Errorf("url_env: %s: %w", s.env, err)
	}
	return t, err
}
