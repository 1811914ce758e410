package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"headwater/configs"
)

var update = flag.Bool("update", false, "write configs/docs/configuration.md")

const documentation = "../../../configs/docs/configuration.md"

const documentationHead = `# Configuration

<!-- Made from configs/headwater.yaml: go test ./cmd/headwater/config -run Documented -update -->

Nothing has to be set. A key is set by its flag, else by its environment variable, else in the file of ` + "`--config`" + `, else it has its default. In the environment it is ` + "`HEADWATER_`" + ` and the key in capitals, with ` + "`_`" + ` for each dot: ` + "`hls.segment_duration`" + ` is ` + "`HEADWATER_HLS_SEGMENT_DURATION`" + `. Lists have commas between their values there.

Durations are written ` + "`500ms`, `2s`, `5m`, `1h`; sizes `64KB` (1000 bytes each) or `64KiB` (1024); bit rates `500kbit/s`, `60Mbit/s`" + `.

` + "`headwater config default`" + ` prints a file with every key, and ` + "`headwater config check FILE`" + ` checks one. What is wrong is named with its key and line, and the server does not start. A variable that begins with ` + "`HEADWATER_`" + ` and sets no key is a warning in the log.

Keys with a ↻ change with a reload (SIGHUP, or ` + "`POST /api/v1/reload`" + `) and drop nobody; the others need a restart, and a reload names those that differ.
`

// TestDocumented holds the page against the keys.
func TestDocumented(t *testing.T) {
	want := document(t)
	if *update {
		if err := os.WriteFile(documentation, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("configs/docs/configuration.md is not what configs/headwater.yaml says: go test ./cmd/headwater/config -run Documented -update")
	}
}

// TestFlagsDocumented: a comment names the flag of its own key.
func TestFlagsDocumented(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| `([a-z_.]+)`.*Flag: (--[a-z-]+)\\. \\|$").FindAllStringSubmatch(document(t), -1)
	if len(rows) < 8 {
		t.Fatalf("found %d flags only", len(rows))
	}
	for _, r := range rows {
		if r[2] != flagName(r[1]) {
			t.Errorf("headwater.yaml says that %s has the flag %s, and it is %s", r[1], r[2], flagName(r[1]))
		}
	}
}

// TestKeysMentioned: the keys and variables that guides name exist.
func TestKeysMentioned(t *testing.T) {
	guides, err := filepath.Glob("../../../configs/docs/*.md")
	if err != nil || len(guides) < 5 {
		t.Fatalf("guides: %q, %v", guides, err)
	}
	keys, variables := Keys(), []string{EnvPrefix + "CONFIG"}
	sections := map[string]bool{}
	for _, key := range keys {
		variables = append(variables, EnvName(key))
		section, _, _ := strings.Cut(key, ".")
		sections[section] = true
	}
	named := 0
	for _, guide := range append(guides, "../../../README.md", "../../../configs/edge/README.md") {
		text, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mentionedKey.FindAllStringSubmatch(theirs(string(text)), -1) {
			if section, _, _ := strings.Cut(m[1], "."); sections[section] {
				named++
				if !slices.Contains(keys, m[1]) {
					t.Errorf("%s names %s, which is no key", guide, m[1])
				}
			}
		}
		for _, name := range mentionedVariable.FindAllString(string(text), -1) {
			named++
			if !slices.Contains(variables, name) {
				t.Errorf("%s names %s, which sets no key", guide, name)
			}
		}
	}
	if named < 50 {
		t.Errorf("found %d keys only", named)
	}
}

var (
	mentionedKey      = regexp.MustCompile("`([a-z]+\\.[a-z_]+)`")
	mentionedVariable = regexp.MustCompile(`\b` + EnvPrefix + `[A-Z][A-Z_]*\b`)
	theirCell         = regexp.MustCompile(`(?m)^\| [^|]*\|`)
)

// theirs returns a page without the first column of its tables, where migrating.md
// has the keys of others.
func theirs(page string) string { return theirCell.ReplaceAllString(page, "|") }

var keyLine = regexp.MustCompile(`^( *)([a-z_]+):(?: (.*))?$`)

// document makes the page: a table for each section.
func document(t *testing.T) string {
	var page strings.Builder
	page.WriteString(documentationHead)
	var seen, comment []string
	section, table := "", false
	row := func(key, value string) {
		if !table {
			page.WriteString("\n| key | default | |\n|---|---|---|\n")
			table = true
		}
		seen = append(seen, key)
		fmt.Fprintf(&page, "| `%s`%s | `%s` | %s |\n", key, reloads(key), value, markdown(comment))
	}
	for line := range strings.Lines(configs.Default) {
		line = strings.TrimRight(line, "\n")
		text, isComment := strings.CutPrefix(strings.TrimSpace(line), "#")
		m := keyLine.FindStringSubmatch(line)
		switch {
		case isComment:
			comment = append(comment, strings.TrimSpace(text))
			continue
		case line == "":
		case m == nil:
			t.Fatalf("headwater.yaml: %q is neither a key nor a comment", line)
		case m[1] == "" && m[3] == "":
			section, table = m[2], false
			fmt.Fprintf(&page, "\n## %s\n", section)
			if len(comment) > 0 {
				fmt.Fprintf(&page, "\n%s\n", markdown(comment))
			}
		case m[1] == "":
			table = false
			fmt.Fprintf(&page, "\n## %s\n", m[2])
			row(m[2], m[3])
		default:
			row(section+"."+m[2], m[3])
		}
		comment = nil
	}
	if missing := slices.DeleteFunc(Keys(), func(k string) bool { return slices.Contains(seen, k) }); len(missing) > 0 {
		t.Errorf("headwater.yaml does not have %q", missing)
	}
	return page.String()
}

// reloads returns the mark of a key that a running server can change.
func reloads(key string) string {
	if isFixed(key) {
		return ""
	}
	return " ↻"
}

// markdown returns a comment as one line in which nothing is markup but code.
func markdown(comment []string) string {
	text := strings.Join(comment, " ")
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`).Replace(text)
}
