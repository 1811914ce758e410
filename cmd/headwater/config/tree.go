package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"headwater/cmd/headwater/access"
	"headwater/ingest/relay"
)

// Some keys hold more than values: lists of mappings, and a mapping whose keys are
// the operator's. Most of what is in them is secret, so that no error repeats it.

// isTree reports whether the field is such a key's.
func (l leaf) isTree() bool {
	switch l.field.Interface().(type) {
	case []access.Key, []access.JWTKey, access.StreamKeys, []relay.Push, []relay.Pull:
		return true
	}
	return false
}

// setTree reads what the environment holds: the same YAML as in the file, on one
// line.
func (l leaf) setTree(text string) error {
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil || len(file.Docs) > 1 {
		return errors.New("is not YAML such as [{id: a, key: b}] or {a: b}")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		l.field.SetZero()
		return nil
	}
	return l.setNode(file.Docs[0].Body)
}

// setNode replaces what the field holds.
func (l leaf) setNode(node ast.Node) error {
	filled := reflect.New(l.field.Type()).Elem()
	var err error
	if filled.Kind() == reflect.Map {
		err = fillMap(filled, node)
	} else {
		err = fillSlice(filled, node)
	}
	if err == nil {
		l.field.Set(filled)
	}
	return err
}

// entries returns the lines of a mapping.
func entries(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func fillMap(to reflect.Value, node ast.Node) error {
	lines, ok := entries(node)
	if !ok {
		return errors.New("takes a mapping such as {a: b}")
	}
	for i, line := range lines {
		key, err := scalar(line.Key)
		if err != nil {
			return fmt.Errorf("entry %d: its key is not plain text", i+1)
		}
		value, err := scalar(line.Value)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
		if to.IsNil() {
			to.Set(reflect.MakeMap(to.Type()))
		}
		to.SetMapIndex(reflect.ValueOf(key).Convert(to.Type().Key()), reflect.ValueOf(value).Convert(to.Type().Elem()))
	}
	return nil
}

func fillSlice(to reflect.Value, node ast.Node) error {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		return errors.New("takes a list such as [{id: a, key: b}]")
	}
	for i, n := range sequence.Values {
		item := reflect.New(to.Type().Elem()).Elem()
		if err := fillStruct(item, n); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
		to.Set(reflect.Append(to, item))
	}
	return nil
}

func fillStruct(to reflect.Value, node ast.Node) error {
	lines, ok := entries(node)
	fields := appendLeaves(nil, "", to)
	if !ok {
		return fmt.Errorf("is no mapping of %s", keysOf(fields))
	}
	for _, line := range lines {
		key := line.Key.GetToken().Value
		i := slices.IndexFunc(fields, func(l leaf) bool { return l.key == key })
		if i < 0 {
			return fmt.Errorf("has a key that is none of %s", keysOf(fields))
		}
		value, err := scalar(line.Value)
		if err != nil {
			return fmt.Errorf("%s %w", key, err)
		}
		if err := fields[i].set(value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func keysOf(fields []leaf) string {
	var keys []string
	for _, l := range fields {
		keys = append(keys, l.key)
	}
	return strings.Join(keys, ", ")
}
