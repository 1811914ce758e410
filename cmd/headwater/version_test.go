package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
)

func TestDescribe(t *testing.T) {
	yes, no := true, false
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{
			{Key: "-trimpath", Value: "true"}, {Key: "vcs.revision", Value: "0123abc"},
			{Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: modified},
		}
	}
	linked := []*debug.Module{
		{Path: "example.com/a", Version: "v1.0.0", Sum: "h1:a"},
		{Path: "example.com/b", Version: "v2.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v2.0.1", Sum: "h1:fork"}},
	}
	modules := []linkedModule{
		{Path: "example.com/a", Version: "v1.0.0", Sum: "h1:a"},
		{Path: "example.com/fork", Version: "v2.0.1", Sum: "h1:fork", Replaces: "example.com/b@v2.0.0"},
	}
	tests := []struct {
		name string
		info debug.BuildInfo
		set  [3]string // version, commit, date
		want build
	}{
		{"nothing known", debug.BuildInfo{}, [3]string{},
			build{Version: "development", Commit: "unknown", Date: "unknown", revision: "unknown"}},
		{"a checkout", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs("false")}, [3]string{},
			build{Version: "development", Commit: "0123abc", Date: "2026-01-02T03:04:05Z", revision: "0123abc", modified: &no}},
		{"with changes", debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-2026+dirty"}, Settings: vcs("true"), Deps: linked}, [3]string{},
			build{Version: "v0.0.0-2026+dirty", Commit: "0123abc+changes", Date: "2026-01-02T03:04:05Z", revision: "0123abc", modified: &yes, modules: modules}},
		{"a release", debug.BuildInfo{Main: debug.Module{Version: "v9.9.9"}, Settings: vcs("false")}, [3]string{"1.2.3", "4567def", "2026-05-06T07:08:09Z"},
			build{Version: "1.2.3", Commit: "4567def", Date: "2026-05-06T07:08:09Z", revision: "4567def", modified: &no}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := describe(&tt.info, tt.set[0], tt.set[1], tt.set[2])
			tt.want.Go = runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// TestVersionJSON reads what the command prints of the very binary that runs.
func TestVersionJSON(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"version", "--json"}, &out, &errs); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH} {
		if got[key] != want {
			t.Errorf("%s is %v, not %v", key, got[key], want)
		}
	}
	for _, key := range []string{"version", "commit", "commit_time", "modified"} {
		if _, ok := got[key]; !ok {
			t.Errorf("there is no %s", key)
		}
	}
	var linked struct {
		Modules []linkedModule `json:"modules"`
	}
	if err := json.Unmarshal(out.Bytes(), &linked); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(linked.Modules, func(m linkedModule) bool { return m.Path == "github.com/spf13/cobra" && m.Version != "" }) {
		t.Errorf("cobra is not among the modules: %+v", linked.Modules)
	}
}
