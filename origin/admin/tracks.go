package admin

import (
	"encoding/json"
	"strconv"

	"headwater/remux"
	"headwater/remux/av"
)

// tracks describes what a Config has.
func tracks(c *av.Config) (v *Video, a *Audio) {
	if c != nil && c.Video != nil {
		v = &Video{c.Video.Codec.String(), c.Video.String, c.Video.Width, c.Video.Height, rounded(c.Video.FrameRate)}
	}
	if c != nil && c.Audio != nil {
		a = &Audio{c.Audio.Codec.String(), c.Audio.String, c.Audio.SampleRate, c.Audio.Channels}
	}
	return v, a
}

// extras describes the tracks beside the first of their kinds, as far as they have
// begun.
func extras(s *remux.Stream, metadata []byte) []Track {
	all := []Track{}
	for _, e := range s.Extras() {
		t := Track{Kind: "video", Number: e.Number}
		if e.Kind == av.Audio {
			t.Kind = "audio"
		}
		if t.Video, t.Audio = tracks(e.Config()); t.Video == nil && t.Audio == nil {
			continue
		}
		all = append(all, t)
	}
	if len(all) > 0 {
		nameLanguages(all, metadata)
	}
	return all
}

// maxLanguage is as long as a language tag may have to be (RFC 5646, 4.4.1).
const maxLanguage = 35

// nameLanguages looks the tracks' languages up in onMetaData (Enhanced RTMP v2,
// "Enhancing onMetaData").
func nameLanguages(all []Track, metadata []byte) {
	// Any of it may be of any type: what does not fit says nothing.
	var maps map[string]json.RawMessage
	_ = json.Unmarshal(metadata, &maps)
	for i := range all {
		var infos map[string]json.RawMessage
		_ = json.Unmarshal(maps[all[i].Kind+"TrackIdInfoMap"], &infos)
		var info struct{ Language string }
		_ = json.Unmarshal(infos[strconv.Itoa(int(all[i].Number))], &info)
		if len(info.Language) <= maxLanguage {
			all[i].Language = info.Language
		}
	}
}
