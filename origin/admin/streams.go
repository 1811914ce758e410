package admin

import (
	"encoding/json"
	"math"
	"net/http"
	"time"

	"headwater/remux"
)

func (a *api) streams(w http.ResponseWriter, r *http.Request) error {
	all := struct {
		Streams []Stream `json:"streams"`
	}{[]Stream{}}
	audience, publishers := a.config.Audience(), a.config.Publishers()
	for _, s := range a.config.Registry.Streams() {
		all.Streams = append(all.Streams, describe(s, publishers, audience))
	}
	return answerJSON(w, r, http.StatusOK, all)
}

// find returns the stream that a path names.
func (a *api) find(r *http.Request) (*remux.Stream, error) {
	name, err := remux.ParseName(r.PathValue("app"), r.PathValue("name"))
	if err != nil {
		return nil, NewProblem(http.StatusNotFound, "not a stream's name: %v", err)
	}
	s := a.config.Registry.Stream(name)
	if s == nil {
		return nil, NewProblem(http.StatusNotFound, "no stream %s", name)
	}
	return s, nil
}

func (a *api) stream(w http.ResponseWriter, r *http.Request) error {
	s, err := a.find(r)
	if err != nil {
		return err
	}
	return answerJSON(w, r, http.StatusOK, describe(s, a.config.Publishers(), a.config.Audience()))
}

// twin tells another server where to begin that gets the same tags.
func (a *api) twin(w http.ResponseWriter, r *http.Request) error {
	if a.config.TwinID == "" {
		return NewProblem(http.StatusNotFound, "this server has no twin; set twin.url")
	}
	s, err := a.find(r)
	if err != nil {
		return err
	}
	return answerJSON(w, r, http.StatusOK, s.TwinState(a.config.TwinID))
}

func (a *api) kick(w http.ResponseWriter, r *http.Request) error {
	s, err := a.find(r)
	if err != nil {
		return err
	}
	if !s.Kick() {
		return NewProblem(http.StatusConflict, "%s has no publisher at the moment", s.Name)
	}
	a.log.Info("publisher kicked", "name", s.Name.String(), "by", r.RemoteAddr)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// describe says all about a stream.
func describe(s *remux.Stream, publishers []Publisher, audience Audience) Stream {
	r := s.Report()
	d := Stream{
		Name: s.Name.String(), State: string(r.Phase), Began: r.Began, Since: r.Began,
		Uptime:  seconds(time.Since(r.Began)),
		Bitrate: int64(math.Round(r.Bitrate)), FrameRate: rounded(r.FrameRate),
		Counters: counters(r.Publisher), HLS: playlists(r.HLS), Renders: Renders(r.Renders),
		Viewers: audience[s.Name], Metadata: json.RawMessage("null"),
	}
	for _, p := range publishers {
		if p.Stream == d.Name && r.Phase == remux.Live {
			d.Publisher, d.Since = &p, p.Since
		}
	}
	if !r.Left.IsZero() {
		d.Since = r.Left
	}
	if !r.LastPart.IsZero() {
		d.LastPart = &r.LastPart
	}
	if d.Viewers == nil {
		d.Viewers = map[string]int{}
	}
	d.Video, d.Audio = tracks(r.Config)
	if k := r.KeyFrames; k.Last > 0 {
		d.KeyFrames = &Interval{seconds(k.Last), seconds(k.Min), seconds(k.Max)}
	}
	if r.AVOffset != nil {
		offset := seconds(*r.AVOffset)
		d.AVOffset = &offset
	}
	if m := s.MetadataJSON(); m != nil {
		d.Metadata = m
	}
	d.Extras = extras(s, d.Metadata)
	return d
}

func counters(s remux.PublisherStats) Counters {
	return Counters{
		VideoFrames: s.VideoFrames, AudioFrames: s.AudioFrames, Bytes: s.Bytes, Discontinuities: s.Discontinuities,
		Malformed: s.Malformed, Unsupported: s.Unsupported, OtherTracks: s.OtherTracks, BeforeHeader: s.BeforeHeader,
		Metadata: s.Metadata, MetadataDropped: s.MetadataDropped,
	}
}

func playlists(r remux.HLSReport) HLS {
	return HLS{
		MediaSequence: r.Sequence, DiscontinuitySequence: r.DiscontinuitySequence,
		TargetDuration: seconds(r.Target), PartTarget: seconds(r.PartTarget),
		Segments: r.Listed, Window: seconds(r.Window), Held: r.Held, Bytes: r.Bytes,
	}
}

// seconds of a duration, to the millisecond.
func seconds(d time.Duration) float64 { return rounded(d.Seconds()) }

func rounded(f float64) float64 { return math.Round(f*1000) / 1000 }
