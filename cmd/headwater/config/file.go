package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFileSize bounds what is read: a larger file is not a configuration.
const maxFileSize = 1 << 20

// readFile applies a YAML file. The tree of the file is walked rather than
// decoded into the structs, so that every error has its line and values take
// the same way as those of the environment and of flags.
func (l *loader) readFile(name string) {
	text, err := readBounded(name)
	if err != nil {
		l.fail(Problem{Text: fmt.Sprintf("read configuration: %v", err)})
		return
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		l.fail(syntaxProblem(name, err))
		return
	}
	seen := false
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case seen:
			l.fail(Problem{Where: at(name, doc.Body), Text: "a second document in one file"})
			return
		default:
			seen = true
			l.section(name, "", doc.Body)
		}
	}
}

func readBounded(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFileSize {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxFileSize)
	}
	return os.ReadFile(name)
}

// section walks the mapping under path, which is empty or ends in a dot.
func (l *loader) section(name, path string, node ast.Node) {
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, entry := range n.Values {
			l.entry(name, path, entry)
		}
	case *ast.MappingValueNode:
		l.entry(name, path, n)
	case *ast.NullNode, *ast.CommentGroupNode: // a section with every key commented out
	default:
		l.fail(Problem{Where: at(name, node), Key: strings.TrimSuffix(path, "."), Text: "holds keys of its own, not a value"})
	}
}

func (l *loader) entry(name, path string, entry *ast.MappingValueNode) {
	key := path + entry.Key.GetToken().Value
	leaf, isLeaf := l.leaves[key]
	switch {
	case isLeaf && leaf.isTree():
		if err := leaf.setNode(entry.Value); err != nil {
			l.fail(Problem{Where: at(name, entry.Key), Key: key, Text: err.Error()})
		}
		l.where[key] = at(name, entry.Key)
	case isLeaf:
		value, err := leaf.text(entry.Value)
		if err == nil {
			l.set(leaf, value, at(name, entry.Key))
		} else {
			l.fail(Problem{Where: at(name, entry.Key), Key: key, Text: err.Error()})
		}
	case l.isSection(key):
		l.section(name, key+".", entry.Value)
	default:
		text, near := "no such key", nearestKey(key)
		if near != "" {
			text += "; did you mean " + near + "?"
		} else if !plainKey.MatchString(key) || path == "publish." {
			key = path + "(not shown)" // it may be a stream key that was not indented
		}
		l.fail(Problem{Where: at(name, entry.Key), Key: key, Text: text})
	}
}

// plainKey matches what looks like a key of this program.
var plainKey = regexp.MustCompile(`^[a-z_.]{1,64}$`)

// text returns what stands in the file as it would stand in the environment.
func (l leaf) text(node ast.Node) (string, error) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok || !l.isList() {
		return scalar(node)
	}
	values := make([]string, len(sequence.Values))
	for i, n := range sequence.Values {
		value, err := scalar(n)
		if err != nil {
			return "", err
		}
		values[i] = value
	}
	return strings.Join(values, ","), nil
}

// scalar returns a value as it was written. A number stays the text it is, so
// that a key of digits keeps its leading zeros.
func scalar(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", errors.New(`has no value; write "" for an empty one`)
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		return "", errors.New("takes a single value")
	default:
		return "", errors.New("takes a plain value, without anchors, aliases or tags")
	}
}

// at returns FILE:LINE of a node.
func at(name string, node ast.Node) string {
	return fmt.Sprintf("%s:%d", name, node.GetToken().Position.Line)
}

// definedTwice matches what the parser says of a key that is given twice.
var definedTwice = regexp.MustCompile(`^mapping key "(.*)" already defined`)

// isPartOfKey reports whether s is a section or the last part of some key.
func isPartOfKey(s string) bool {
	return slices.ContainsFunc(Keys(), func(key string) bool { return slices.Contains(strings.Split(key, "."), s) })
}

func syntaxProblem(name string, err error) Problem {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		text := e.GetMessage()
		if m := definedTwice.FindStringSubmatch(text); m != nil && !isPartOfKey(m[1]) {
			text = "a key is given twice" // it may be a stream key
		}
		return Problem{Where: fmt.Sprintf("%s:%d", name, e.GetToken().Position.Line), Text: text}
	}
	return Problem{Where: name, Text: err.Error()}
}
