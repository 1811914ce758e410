package admin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"headwater/remux"
	"headwater/remux/flv"
)

// TestExtraTracks: what FFmpeg sends with two tracks of a kind is listed, with the
// languages that the metadata gives.
func TestExtraTracks(t *testing.T) {
	for name, want := range map[string]string{
		"hevc_aac":      ``, // one of each kind
		"h264_aac_aac":  `{"kind":"audio","track":1,"language":"de","video":null,"audio":{"codec":"AAC","string":"mp4a.40.2","sample_rate":48000,"channels":1}}`,
		"h264_aac_opus": `{"kind":"audio","track":1,"language":"de","video":null,"audio":{"codec":"Opus","string":"Opus","sample_rate":48000,"channels":1}}`,
		"h264_hevc_aac": `{"kind":"video","track":1,"language":"","video":{"codec":"HEVC","string":"hvc1.4.10.L30.9E.8","width":64,"height":64,"stated_frame_rate":15},"audio":null}`,
	} {
		r := remux.NewRegistry(remux.DefaultOptions(), nil)
		p, err := r.Publish(remux.Name{App: "live", Stream: "x"}, remux.Claim{})
		if err != nil {
			t.Fatal(err)
		}
		feed(t, p, name)
		said := describe(p.Stream(), nil, nil)
		if len(said.Extras) == 0 {
			if got, _ := json.Marshal(said.Extras); want != "" || string(got) != "[]" {
				t.Errorf("%s: %s", name, got)
			}
			continue
		}
		metadata := []byte(`{"audioTrackIdInfoMap": {"0": {"language": "en"}, "1": {"language": "de", "channels": 2}}, "videoTrackIdInfoMap": {"1": {"language": 7}}}`)
		if got, _ := json.Marshal(extras(p.Stream(), metadata)); string(got) != "["+want+"]" {
			t.Errorf("%s: got\n%s, want\n[%s]", name, got, want)
		}
		p.Close()
	}
}

// feed publishes a file of remux/testdata/enhanced.
func feed(t *testing.T, p *remux.Publisher, name string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "remux", "testdata", "enhanced", name+".flv"))
	if err != nil {
		t.Fatal(err)
	}
	for b = b[13:]; len(b) > 0; {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		tag := flv.NewTag(n)
		copy(flv.Body(tag), b[11:11+n])
		if err := p.Write(b[0], uint32(b[7])<<24|uint32(b[4])<<16|uint32(b[5])<<8|uint32(b[6]), tag); err != nil {
			t.Fatal(err)
		}
		b = b[15+n:]
	}
}

// TestLanguagesOfAnyType: metadata is whatever the encoder likes.
func TestLanguagesOfAnyType(t *testing.T) {
	for _, metadata := range []string{
		``, `null`, `[]`, `7`, `{}`, `{"audioTrackIdInfoMap": 7}`, `{"audioTrackIdInfoMap": {"1": []}}`,
		`{"audioTrackIdInfoMap": {"1": {"language": {}}}}`, `{"audioTrackIdInfoMap": [{"language": "de"}]}`,
		`{"audioTrackIdInfoMap": {"1": {"language": "a language with a name that is longer than any tag"}}}`,
	} {
		all := []Track{{Kind: "audio", Number: 1}}
		if nameLanguages(all, []byte(metadata)); all[0].Language != "" {
			t.Errorf("%s: %q", metadata, all[0].Language)
		}
	}
}
