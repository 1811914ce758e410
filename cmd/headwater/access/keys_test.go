package access

import (
	"go/ast"
	"go/parser"
	"go/token"
	"headwater/remux"
	"testing"
)

func pattern(t testing.TB, s string) remux.Pattern {
	t.Helper()
	p, err := remux.ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPublishKeysFind(t *testing.T) {
	ks := publishKeys{
		{"show", pattern(t, "live/show"), hashOf("secret-1")},
		{"show-next", pattern(t, "live/show"), hashOf("secret-2")}, // rotation: two for one name
		{"cams", pattern(t, "*/cam-*"), hashOf("secret-3")},
		{"all", everything, hashOf("secret-4")},
	}
	tests := []struct {
		shown, app, name string
		id               string
	}{
		{"secret-1", "live", "show", "show"},
		{"secret-2", "live", "show", "show-next"},
		{"secret-1", "live", "other", ""},
		{"secret-1", "test", "show", ""},
		{"secret-3", "a", "cam-1", "cams"},
		{"secret-3", "b", "cam-", "cams"},
		{"secret-3", "b", "cam", ""},
		{"secret-4", "anything", "at.all", "all"},
		{"", "live", "show", ""},
		{"secret-", "live", "show", ""},
		{"secret-1 ", "live", "show", ""},
	}
	for _, tt := range tests {
		id, ok := ks.find(tt.shown, tt.app, tt.name)
		if id != tt.id || ok != (tt.id != "") {
			t.Errorf("%q for %s/%s: %q, %v; want %q", tt.shown, tt.app, tt.name, id, ok, tt.id)
		}
	}
	if _, ok := (publishKeys{}).find("", "live", "show"); ok {
		t.Error("no keys at all opened a name")
	}
}

func TestStreamKeysFind(t *testing.T) {
	ks, err := loadStreamKeys(StreamKeys{
		"sk_aaaa": "live/show", "sk_bbbb": "live/show", "studio/sk_cccc": "tv/news", "sk_cccc": "tv/other",
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ app, name, public string }{
		{"live", "sk_aaaa", "live/show"},
		{"whatever", "sk_aaaa", "live/show"},
		{"live", "sk_bbbb", "live/show"},
		{"studio", "sk_cccc", "tv/news"}, // the closer one wins, whichever order the map has
		{"live", "sk_cccc", "tv/other"},
		{"live", "show", ""},
		{"live", "sk_aaa", ""},
		{"studio", "sk_dddd", ""},
	}
	for _, tt := range tests {
		public, ok := ks.find(tt.app, tt.name)
		if ok != (tt.public != "") || ok && public.String() != tt.public {
			t.Errorf("%s/%s: %v, %v; want %q", tt.app, tt.name, public, ok, tt.public)
		}
	}
}

// TestComparisonsDoNotStopEarly reads the source: the loops over secrets must
// look at every one in full, and secrets are compared by nothing but the
// constant-time functions.
func TestComparisonsDoNotStopEarly(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "keys.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	loops := 0
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Name.Name != "find" {
			continue
		}
		calls := map[string]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.RangeStmt:
				loops++
				ast.Inspect(n.Body, func(n ast.Node) bool {
					switch n.(type) {
					case *ast.BranchStmt, *ast.ReturnStmt:
						t.Errorf("the loop over secrets can be left early")
					}
					return true
				})
			case *ast.SelectorExpr:
				calls[n.Sel.Name] = true
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					t.Error("something is compared with ==")
				}
			}
			return true
		})
		if !calls["ConstantTimeCompare"] || !calls["ConstantTimeSelect"] {
			t.Error("find does not compare in constant time")
		}
	}
	if loops != 2 {
		t.Errorf("found %d loops over secrets, want 2", loops)
	}
}

// TestMACsAreComparedInConstantTime does the same for tokens.
func TestMACsAreComparedInConstantTime(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "token.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, _ := n.X.(*ast.Ident)
			found = found || x != nil && x.Name == "hmac" && n.Sel.Name == "Equal"
			if x != nil && x.Name == "bytes" && (n.Sel.Name == "Equal" || n.Sel.Name == "Compare") {
				t.Error("token.go compares bytes in a time that depends on them")
			}
		case *ast.BinaryExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Name == "mac" {
				t.Error("a MAC is compared with an operator")
			}
		}
		return true
	})
	if !found {
		t.Error("token.go does not use hmac.Equal")
	}
}
