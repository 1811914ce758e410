package id3

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestFFprobe has another reader read a tag, in the only place where it takes one
// from a file: in front of an MP3.
func TestFFprobe(t *testing.T) {
	for _, tool := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	tag, err := New([]byte(str("onCuePoint") + obj(key("name")+str("Grüße"), key("time")+num(12.5), key("parameters")+obj(key("text")+long(longText())))))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.mp3")
	args := []string{"-v", "error", "-f", "lavfi", "-i", "anullsrc", "-t", "0.2", "-c:a", "libmp3lame", "-id3v2_version", "0", "-write_xing", "0", path}
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Skipf("no MP3: %v\n%s", err, out)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(tag, sound...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "format_tags", "-of", "json", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Format struct{ Tags map[string]string }
	}
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"onCuePoint.name": "Grüße", "onCuePoint.time": "12.5", "onCuePoint.parameters.text": longText()} {
		if got := v.Format.Tags[name]; got != want {
			t.Errorf("%s is %.40q, want %.40q", name, got, want)
		}
	}
}

// longText needs more than 7 bits for its length.
func longText() string {
	b := make([]byte, 5000)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return string(b)
}
