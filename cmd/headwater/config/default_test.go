package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"headwater/configs"
)

// TestSampleIsDefaults holds configs/headwater.yaml against the code: it has
// every key once, in the order of the structs, each with its default and a line
// of why above it.
func TestSampleIsDefaults(t *testing.T) {
	loaded := new(Config)
	l := newLoader(loaded)
	l.readFile("../../../configs/headwater.yaml")
	if len(l.problems) > 0 {
		t.Fatal(&Error{l.problems})
	}
	if !reflect.DeepEqual(*loaded, Default()) {
		t.Errorf("the sample holds\n%+v\nthe defaults are\n%+v", *loaded, Default())
	}
	keys, undocumented := sampleKeys(configs.Default)
	if !slices.Equal(keys, Keys()) {
		t.Errorf("the sample's keys are\n%q\nthe code's\n%q", keys, Keys())
	}
	if len(undocumented) > 0 {
		t.Errorf("without a comment above: %q", undocumented)
	}
}

func TestSampleLoads(t *testing.T) {
	c, _, err := Load(Source{File: "../../../configs/headwater.yaml"})
	if err != nil || !reflect.DeepEqual(*c, Default()) {
		t.Errorf("got %+v, %v", c, err)
	}
}

// sampleKeys reads the keys of a two-level file line by line, without a parser:
// that is how a person reads it.
func sampleKeys(text string) (keys, undocumented []string) {
	line := regexp.MustCompile(`^( *)([a-z_]+):(.*)`)
	section, previous := "", ""
	for text := range strings.Lines(text) {
		if m := line.FindStringSubmatch(text); m != nil {
			key := m[2]
			switch {
			case m[1] != "":
				key = section + "." + key
			case strings.TrimSpace(m[3]) == "":
				section, previous = key, text
				continue
			}
			keys = append(keys, key)
			if !strings.HasPrefix(strings.TrimSpace(previous), "# ") {
				undocumented = append(undocumented, key)
			}
		}
		previous = text
	}
	return keys, undocumented
}
