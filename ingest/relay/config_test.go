package relay

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/remux"
)

func TestTemplates(t *testing.T) {
	show := remux.Name{App: "live", Stream: "show"}
	for _, c := range []struct {
		url                    string
		addr, tcURL, app, name string
		secure                 bool
	}{
		{"rtmp://host/app/{name}", "host:1935", "rtmp://host/app", "app", "show", false},
		{"RTMPS://Host:8443/app/{app}_{name}?key=a/b&x=?", "Host:8443", "rtmps://Host:8443/app", "app", "live_show?key=a/b&x=?", true},
		{"rtmps://h/rtmp/FB-1-2?s_bl=1&s_sc=2", "h:443", "rtmps://h/rtmp", "rtmp", "FB-1-2?s_bl=1&s_sc=2", true},
		{"rtmp://[::1]:19350/{app}/instance/{name}", "[::1]:19350", "rtmp://[::1]:19350/live/instance", "live/instance", "show", false},
		{"rtmp://h//app//x%2F", "h:1935", "rtmp://h/app", "app", "x%2F", false},
	} {
		parsed, err := parseTemplate(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		at := parsed.at(show)
		if to := at.target([]string{"id"}); at.addr != c.addr || to.TcURL != c.tcURL || to.App != c.app || to.Name != c.name || at.secure != c.secure {
			t.Errorf("%s: %q, %+v", c.url, at.addr, to)
		}
	}
	for _, bad := range []string{
		"", "http://h/a/SECRET", "host/a/SECRET", "rtmp:///a/SECRET", "rtmp://h/SECRET", "rtmp://h/a/", "rtmp://h/", "rtmp://h", "rtmp://h//SECRET",
		"rtmp://u:SECRET@h/a/b", "rtmp://{name}/a/SECRET", "rtmp://h:0/a/SECRET", "rtmp://h:99999/a/SECRET", "rtmp://h:x/a/SECRET",
		"rtmp://h/a/{SECRET}", "rtmp://h/a/SE CRET", "rtmp://h/a/SECRET\r\n", "rtmp://h/a/SECRET?x={app}{", "rtmp://h%41/a/SECRET", "rtmp://h?x/a/SECRET",
	} {
		if got, err := parseTemplate(bad); err == nil {
			t.Errorf("%q is taken for %+v", bad, got)
		} else if strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: the error shows it: %v", bad, err)
		}
	}
}

func TestNothingSecretIsShown(t *testing.T) {
	u := URL("rtmp://host/app/SECRET-KEY?token=SECRET-TOKEN")
	b, err := json.Marshal(Config{Push: []Push{{Name: "live/*", URL: u}}})
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%s %v %+v %#v %s", u, u, Config{Push: []Push{{URL: u}}}, Config{Pull: []Pull{{URL: u}}}, b)
	if strings.Contains(all, "SECRET") || !strings.Contains(all, "rtmp://host/app") {
		t.Error(all)
	}
	parsed, err := parseTemplate(string(u))
	if err != nil {
		t.Fatal(err)
	}
	name := remux.Name{App: "live", Stream: "show"}
	for text, want := range map[string]string{
		"no: SECRET-KEY?token=SECRET-TOKEN": "no: …",
		"SECRET-KEY by SECRET-TOKEN":        "… by …",
		"show is busy":                      "show is busy",
	} {
		if got := parsed.at(name).redact(text, name); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	own, err := parseTemplate("rtmp://host/app/{name}?v=1")
	if err != nil {
		t.Fatal(err)
	}
	if got := own.at(name).redact("show 1 is busy", name); got != "show 1 is busy" {
		t.Errorf("got %q", got)
	}
}

func TestValidate(t *testing.T) {
	good := URL("rtmp://h/a/{name}")
	for _, c := range []struct {
		config Config
		want   []string
	}{
		{Config{}, nil},
		{Config{Push: []Push{{Name: "live/*", URL: good}, {Name: "*/*", URLFile: "x"}, {Name: "a/b", URLEnv: "X"}}}, nil},
		{Config{Pull: []Pull{{Name: "live/*", URL: good}, {Name: "live/x", URL: good, Always: true, Idle: time.Minute}}}, nil},
		{Config{Push: []Push{{Name: "live", URL: good}}}, []string{"relay.push: entry 1: name: is neither APP/NAME nor a pattern such as live/*"}},
		{Config{Push: []Push{{Name: "live/*", URL: good}, {Name: "live/ü", URL: good}}}, []string{`relay.push: entry 2: stream name: holds 'ü'; only A-Z a-z 0-9 . _ ~ - are allowed`}},
		{Config{Push: []Push{{Name: "live/*"}}}, []string{"relay.push: entry 1: needs one of url, url_file and url_env"}},
		{Config{Push: []Push{{Name: "live/*", URL: good, URLEnv: "X"}}}, []string{"relay.push: entry 1: needs one of url, url_file and url_env"}},
		{Config{Pull: []Pull{{Name: "live/*", URL: "rtmp://h/a"}}}, []string{"relay.pull: entry 1: url: is not rtmp://HOST/APP/NAME"}},
		{Config{Pull: []Pull{{Name: "live/*", URL: good, Always: true}}}, []string{"relay.pull: entry 1: name: live/* is a pattern; what is pulled always needs a whole name"}},
		{Config{Pull: []Pull{{Name: "live/*", URL: good, Idle: time.Second}}}, []string{"relay.pull: entry 1: idle: 1s is not between 5s and 24h0m0s"}},
	} {
		var got []string
		for _, p := range c.config.Validate() {
			got = append(got, p.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestURLFromFileAndEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("rtmp://h/a/SECRET\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("RELAY_URL", "rtmps://h/b/SECRET")
	o := Options{Registry: remux.NewRegistry(remux.DefaultOptions(), nil)}
	r, err := New(Config{Push: []Push{{Name: "a/b", URLFile: file}}, Pull: []Pull{{Name: "a/b", URLEnv: "RELAY_URL"}}}, o)
	if err != nil || r.rules.Load().push[0].template.name != "SECRET" || r.rules.Load().pull[0].template.app != "b" || r.rules.Load().pull[0].idle != defaultIdle {
		t.Errorf("%v", err)
	}
	t.Setenv("RELAY_URL", "SECRET")
	for _, c := range []Config{
		{Push: []Push{{Name: "a/b", URLFile: file + "x"}}}, {Pull: []Pull{{Name: "a/b", URLEnv: "RELAY_URL"}}},
		{Pull: []Pull{{Name: "a/b", URLEnv: "RELAY_URL_NOT_SET"}}}, {Push: []Push{{Name: "a", URLFile: file}}},
	} {
		if _, err := New(c, o); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestBackoff(t *testing.T) {
	b := backoff{least: time.Second, most: 10 * time.Second}
	for round := range 2 {
		for i, most := range []time.Duration{1, 2, 4, 8, 10, 10} {
			most *= time.Second
			if d := b.next(); d < most/2 || d > most {
				t.Errorf("round %d, pause %d: %v, want %v to %v", round, i, d, most/2, most)
			}
		}
		b.reset()
	}
}
