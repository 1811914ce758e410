package docs

import (
	"fmt"
	"strings"
)

// Block is a fenced block of a page that a test has to do with.
type Block struct {
	Line       int    // of its first fence, from 1
	Kind       string // sh or yaml
	Background bool
	Code       string
	Output     []string // lines that it has to print; nil: whatever it prints
}

// Page is what a test needs of a Markdown file.
type Page struct {
	Server, Stream bool // what it finds running
	Blocks         []Block
}

// kinds are the first lines of blocks that mean something.
const (
	shell      = "sh test"
	background = "sh test background"
	output     = "text output"
	config     = "yaml test"
)

// Parse reads a page. An error names the line.
func Parse(text string) (Page, error) {
	var p Page
	var code []string
	info, begin := "", 0 // of the block that is open; begin 0: none is
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case begin == 0 && isFence:
			info, begin, code = fence, i+1, nil
		case begin > 0 && isFence:
			if err := p.add(info, begin, code); err != nil {
				return Page{}, fmt.Errorf("line %d: %w", begin, err)
			}
			begin = 0
		case begin > 0:
			code = append(code, line)
		case strings.HasPrefix(line, "<!-- docs: "):
			p.Server = strings.Contains(line, " server ")
			p.Stream = strings.Contains(line, " stream ")
		}
	}
	if begin > 0 {
		return Page{}, fmt.Errorf("line %d: the block has no end", begin)
	}
	return p, nil
}

// add takes in a block.
func (p *Page) add(info string, line int, code []string) error {
	switch info {
	case shell, background, config:
		kind, _, _ := strings.Cut(info, " ")
		p.Blocks = append(p.Blocks, Block{Line: line, Kind: kind, Background: info == background, Code: strings.Join(code, "\n") + "\n"})
	case output:
		if len(p.Blocks) == 0 || p.Blocks[len(p.Blocks)-1].Output != nil {
			return fmt.Errorf("%q follows no block that is run", info)
		}
		p.Blocks[len(p.Blocks)-1].Output = code
	default:
		if strings.Contains(info, " ") {
			return fmt.Errorf("unknown kind of block %q", info)
		}
	}
	return nil
}

// Missing returns the first of the wanted lines that the output does not have,
// behind those before it, and "" where it has them all.
func Missing(wanted []string, output string) string {
	lines := strings.Split(output, "\n")
	for _, want := range wanted {
		for {
			if len(lines) == 0 {
				return want
			}
			line := lines[0]
			lines = lines[1:]
			if matches(strings.TrimSpace(want), strings.TrimSpace(line)) {
				break
			}
		}
	}
	return ""
}

// matches reports whether a line is as wanted, where … stands for anything.
func matches(want, line string) bool {
	pieces := strings.Split(want, "…")
	if len(pieces) == 1 {
		return want == line
	}
	line, ok := strings.CutPrefix(line, pieces[0])
	if !ok {
		return false
	}
	last := len(pieces) - 1
	for _, piece := range pieces[1:last] {
		if _, line, ok = strings.Cut(line, piece); !ok {
			return false
		}
	}
	return strings.HasSuffix(line, pieces[last])
}
