package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGoodFiles(t *testing.T) {
	for _, file := range testFiles(t, "*.good.yml") {
		if _, warnings, err := Load(Source{File: file}); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, warnings %q", file, err, warnings)
		}
	}
}

// TestBadFiles checks that every wrong file is refused with the lines that it
// names itself, "want: LINE: the rest of the message".
func TestBadFiles(t *testing.T) {
	for _, file := range testFiles(t, "*.bad.yml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(text)) {
				if w, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, file+":"+strings.TrimSuffix(w, "\n"))
				}
			}
			_, _, err = Load(Source{File: file})
			problems, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got error %v, want an *Error", err)
			}
			got := strings.Split(problems.Error(), "\n")
			if len(want) == 0 || len(got) != len(want) {
				t.Fatalf("got  %q\nwant %q", got, want)
			}
			for i := range got {
				// The wording of syntax errors is the parser's: a want that ends in a space is a prefix.
				matches := got[i] == want[i] || strings.HasSuffix(want[i], " ") && strings.HasPrefix(got[i], want[i])
				if !matches {
					t.Errorf("got  %s\nwant %s", got[i], want[i])
				}
			}
		})
	}
}

func TestValuesAsWritten(t *testing.T) {
	c, _, err := Load(Source{File: "testdata/every-key.good.yml"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Publish.Key != "00123" || c.Stream.MaxBytes != 512*Megabyte || c.HTTP.FLVGather != 0 || c.HTTP.Listen != "localhost:8080" {
		t.Errorf("got %+v", *c)
	}
	if c.HLS.PartDuration != Default().HLS.PartDuration {
		t.Error("a key that the file leaves out lost its default")
	}
}

func TestSecretNotInError(t *testing.T) {
	_, _, err := Load(Source{File: "testdata/secret-letters.bad.yml"})
	if err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v", err)
	}
}

func TestMissingFile(t *testing.T) {
	_, _, err := Load(Source{File: "testdata/none.yml"})
	if err == nil || !strings.Contains(err.Error(), "testdata/none.yml") {
		t.Errorf("got %v", err)
	}
}

func testFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return files
}
