// Package doctor looks at a machine and a configuration and says what would keep a
// server from running well, with the command or the key that changes it. It changes
// nothing, but for a file that it writes into the data folder and takes away again.
//
// What it reads of the machine lies below a root that tests put their own in place of.
package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"headwater/cmd/headwater/config"
	"headwater/origin/checkup"
)

// Patient is what is looked at.
type Patient struct {
	Config   *config.Config // nil: it could not be read, and Err says why; the defaults are looked at
	Err      error
	Warnings []string

	Root string // "": /; where /proc, /sys and /run are found
	Now  time.Time

	Descriptors uint64                                                    // limit of this process
	Caps        func(*config.Config) (rtmp, http int, err error)          // connections that the limit leaves
	Processors  int                                                       // GOMAXPROCS
	Listen      func(ctx context.Context, address string) error           // binds an address and lets it go again
	Resolve     func(ctx context.Context, host string) error              // looks a name up
	Clock       func() (synchronized bool, off time.Duration, known bool) // what the kernel knows about its clock
	KeyFile     string                                                    // of the publish key that is made
}

// exam is one run.
type exam struct {
	Patient
	cfg config.Config
	all []checkup.Finding
}

// Examine returns what was found, the worst first.
func Examine(ctx context.Context, p Patient) []checkup.Finding {
	e := &exam{Patient: p}
	e.configuration()
	e.ports(ctx)
	e.descriptors()
	e.data()
	e.clock()
	e.certificates()
	e.network()
	e.memory()
	e.processors()
	e.secrets()
	e.hosts(ctx)
	checkup.Sort(e.all)
	return e.all
}

func (e *exam) say(code string, s checkup.Severity, text, advice string) {
	e.all = append(e.all, checkup.Finding{Code: code, Severity: s, Text: text, Advice: advice})
}

func (e *exam) configuration() {
	e.cfg = config.Default()
	if e.Config != nil {
		e.cfg = *e.Config
	}
	for _, w := range e.Warnings {
		e.say("config.warning", checkup.Warning, w+".", "")
	}
	if e.Err != nil {
		for line := range strings.Lines(e.Err.Error()) {
			e.say("config.invalid", checkup.Problem, strings.TrimSpace(line), "headwater config default prints every key. What follows is about the defaults.")
		}
		return
	}
	e.say("config.valid", checkup.OK, "The configuration is valid.", "")
}

// maxFile bounds what is read of any file of the machine.
const maxFile = 1 << 20

// read returns a file below the root, "" where there is none.
func (e *exam) read(path string) string {
	f, err := os.Open(filepath.Join(e.root(), path))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, 0, 4096)
	for len(b) < maxFile {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := f.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			break
		}
	}
	return strings.TrimSpace(string(b))
}

func (e *exam) root() string {
	if e.Root == "" {
		return "/"
	}
	return e.Root
}

// numbers returns the numbers in a file below the root, nil where it holds others.
func (e *exam) numbers(path string) []int64 {
	var all []int64
	for _, s := range strings.Fields(e.read(path)) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil
		}
		all = append(all, n)
	}
	return all
}

// listener is an address that the server would listen on.
type listener struct{ key, address string }

func (e *exam) listeners() []listener {
	c := &e.cfg
	all := []listener{
		{"rtmp.listen", c.RTMP.Listen}, {"rtmps.listen", c.RTMPS.Listen},
		{"http.listen", c.HTTP.Listen}, {"https.listen", c.HTTPS.Listen}, {"admin.listen", c.Admin.Listen},
	}
	var used []listener
	for _, l := range all {
		if l.address != "" {
			used = append(used, l)
		}
	}
	return used
}
