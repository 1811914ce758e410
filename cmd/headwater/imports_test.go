package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "headwater"

// goPackage is one folder of Go files, without its tests.
type goPackage struct {
	dir     string          // relative to the module: "remux/av"
	imports map[string]bool // of this module only, relative in the same way
	doc     string
}

// TestImportRule: cmd → ingest, origin, remux; ingest → remux; origin → remux;
// remux → its own leaves; a leaf → av, flv and amf; remux/fanout, which both ingest and
// origin send with, → remux. Nothing points upwards or sideways.
func TestImportRule(t *testing.T) {
	for _, p := range packages(t) {
		for imported := range p.imports {
			if !mayImport(p.dir, imported) {
				t.Errorf("%s must not import %s", p.dir, imported)
			}
		}
	}
}

func mayImport(from, to string) bool {
	switch top(from) {
	case "cmd":
		return top(to) != "scripts"
	case "ingest":
		// The protocol knows bytes and messages, not streams.
		streams := to == "remux" || to == "remux/fanout"
		return within(to, "ingest") || within(to, "remux") && (from != "ingest/rtmp" || !streams)
	case "origin":
		return within(to, "origin") || within(to, "remux")
	case "remux":
		if from == "remux" || from == "remux/fanout" {
			return within(to, "remux")
		}
		return to == "remux/av" || to == "remux/flv" || to == "remux/amf"
	}
	return within(from, "scripts") && within(to, "scripts") // configs and scripts stand alone
}

func TestImportRuleHasTeeth(t *testing.T) {
	wrong := [][2]string{
		{"ingest", "origin"}, {"origin", "ingest"}, {"origin/admin", "ingest/rtmp"}, {"remux", "origin"}, {"remux", "ingest"},
		{"remux/hls", "remux"}, {"remux/av", "remux/hls"}, {"ingest/rtmp", "remux"},
		{"ingest/rtmp", "remux/fanout"}, {"remux/hls", "remux/fanout"}, {"remux/fanout", "ingest/rtmp"}, {"remux/fanout", "origin"}, {"ingest", "cmd/headwater/config"},
		{"cmd/headwater", "scripts/e2e"}, {"configs", "remux"},
	}
	for _, w := range wrong {
		if mayImport(w[0], w[1]) {
			t.Errorf("%s may import %s", w[0], w[1])
		}
	}
}

func TestPackageDocs(t *testing.T) {
	for _, p := range packages(t) {
		if !strings.HasPrefix(p.doc, "Package "+path.Base(p.dir)+" ") && !strings.HasPrefix(p.doc, "Command "+path.Base(p.dir)+" ") {
			t.Errorf("%s has no package doc, or one that begins otherwise: %.60q", p.dir, p.doc)
		}
	}
}

// packages parses the import lines of the whole module.
func packages(t *testing.T) []*goPackage {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*goPackage{}
	var all []*goPackage
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		switch base := entry.Name(); {
		case entry.IsDir() && name != root && skipped(name):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go"):
			return nil
		}
		p := found[dir]
		if p == nil {
			p = &goPackage{dir: filepath.ToSlash(dir), imports: map[string]bool{}}
			found[dir] = p
			all = append(all, p)
		}
		return p.read(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 5 {
		t.Fatalf("found %d packages only", len(all))
	}
	return all
}

// skipped are folders that the go command does not look into either, and
// modules of their own.
func skipped(dir string) bool {
	base := filepath.Base(dir)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func (p *goPackage) read(name string) error {
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return err
	}
	if f.Doc != nil {
		p.doc += docText(f.Doc)
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if local, ok := strings.CutPrefix(imported, module+"/"); ok {
			p.imports[local] = true
		}
	}
	return nil
}

func docText(doc *ast.CommentGroup) string { return strings.TrimSpace(doc.Text()) + "\n" }

func top(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

func within(dir, folder string) bool { return dir == folder || strings.HasPrefix(dir, folder+"/") }
