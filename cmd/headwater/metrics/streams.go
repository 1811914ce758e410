package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"headwater/remux"
)

var (
	streamsNow = gauge("streams", "Streams by state: live, reconnecting, ended.", "state")

	streamLive       = gauge("stream_live", "Streams under the label that have a publisher: 1 or 0, but under stream=\"\".", "stream")
	streamBitrate    = gauge("stream_bitrate_bits_per_second", "Of the last seconds of media; 0 where it stalls.", "stream")
	streamFrameRate  = gauge("stream_frame_rate", "Pictures a second over the last seconds.", "stream")
	streamInterval   = gauge("stream_key_frame_interval_seconds", "Between key frames in the media that is held: last, min or max.", "stream", "of")
	streamAVOffset   = gauge("stream_av_offset_seconds", "By how much sound is ahead of the pictures that it arrives beside.", "stream")
	streamHeld       = gauge("stream_held_bytes", "Frames that are held for HLS.", "stream")
	streamViewers    = gauge("stream_viewers", "Viewers by protocol; of HLS the clients that asked for a playlist within half a minute.", "stream", "protocol")
	streamBytes      = counter("stream_received_bytes_total", "Messages of the publisher.", "stream")
	streamFrames     = counter("stream_frames_total", "Frames of the publisher: video, audio.", "stream", "kind")
	streamDropped    = counter("stream_dropped_total", "Messages that were of no use: malformed, unsupported, before_header, metadata.", "stream", "reason")
	streamBroken     = counter("stream_discontinuities_total", "Jumps of the publisher's clock.", "stream")
	streamRenders    = counter("renders_total", "Things made for viewers, each once: multivariant, playlist, segment, part, init.", "kind")
	viewersNow       = gauge("viewers", "Viewers by protocol, of all streams.", "protocol")
	protocolsOfViews = []string{"hls", "http-flv", "http-ts", "rtmp", "ws-flv"}
)

// totals are what is counted of a stream, or of several.
type totals struct {
	publisher remux.PublisherStats
	renders   remux.Renders
}

// ledger keeps totals from going back when streams come and go: of those that share
// series, what the ones that are gone had is kept.
type ledger struct {
	most   int
	named  map[*remux.Stream]bool   // those with series of their own, at the last scrape
	last   map[*remux.Stream]totals // what each had then
	others totals                   // of streams without series of their own, gone ones included
	made   remux.Renders            // of all streams, likewise
}

func newLedger(most int) *ledger {
	return &ledger{most: most, named: map[*remux.Stream]bool{}, last: map[*remux.Stream]totals{}}
}

// choose decides which of the streams that are there have series of their own: those
// that had before, and then as many as there is room for. A name has one set only.
func (l *ledger) choose(streams []*remux.Stream) {
	there := make(map[*remux.Stream]bool, len(streams))
	names := make(map[remux.Name]bool, len(streams))
	for _, s := range streams {
		there[s] = true
		if l.named[s] {
			names[s.Name] = true
		}
	}
	for s := range l.named {
		if !there[s] {
			delete(l.named, s)
		}
	}
	for s := range l.last {
		if !there[s] {
			delete(l.last, s)
		}
	}
	for _, s := range streams {
		_, known := l.last[s] // it is counted among the others already
		if len(l.named) < l.most && !known && !names[s.Name] {
			l.named[s], names[s.Name] = true, true
		}
	}
}

// note adds what a stream has had since the last scrape.
func (l *ledger) note(s *remux.Stream, now totals) {
	before := l.last[s]
	l.last[s] = now
	l.made = renders(l.made, now.renders, before.renders)
	if !l.named[s] {
		l.others.publisher = published(l.others.publisher, now.publisher, before.publisher)
	}
}

// renders returns sum + now - before.
func renders(sum, now, before remux.Renders) remux.Renders {
	sum.Multivariants += now.Multivariants - before.Multivariants
	sum.Playlists += now.Playlists - before.Playlists
	sum.Segments += now.Segments - before.Segments
	sum.Parts += now.Parts - before.Parts
	sum.Inits += now.Inits - before.Inits
	return sum
}

// published returns sum + now - before, of what is shown.
func published(sum, now, before remux.PublisherStats) remux.PublisherStats {
	sum.VideoFrames += now.VideoFrames - before.VideoFrames
	sum.AudioFrames += now.AudioFrames - before.AudioFrames
	sum.Bytes += now.Bytes - before.Bytes
	sum.Discontinuities += now.Discontinuities - before.Discontinuities
	sum.Malformed += now.Malformed - before.Malformed
	sum.Unsupported += now.Unsupported - before.Unsupported
	sum.BeforeHeader += now.BeforeHeader - before.BeforeHeader
	sum.MetadataDropped += now.MetadataDropped - before.MetadataDropped
	return sum
}

func (c *collector) perStream(ch chan<- prometheus.Metric) {
	streams := c.sources.Registry.Streams()
	c.streams.choose(streams)
	audience := c.audience()
	phases := map[remux.Phase]int{}
	var others struct {
		count, live int
		bitrate     float64
		held        int64
		viewers     map[string]int
	}
	others.viewers = map[string]int{}
	for _, s := range streams {
		r := s.Report()
		phases[r.Phase]++
		c.streams.note(s, totals{r.Total, r.Renders})
		if c.streams.named[s] {
			named(ch, r, audience[r.Name.String()])
			continue
		}
		others.count++
		others.bitrate += r.Bitrate
		others.held += r.HLS.Bytes
		if r.Phase == remux.Live {
			others.live++
		}
		for protocol, n := range audience[r.Name.String()] {
			others.viewers[protocol] += n
		}
	}
	for _, p := range []remux.Phase{remux.Live, remux.Reconnecting, remux.Ended} {
		streamsNow.send(ch, float64(phases[p]), string(p))
	}
	if others.count > 0 || c.streams.others.publisher.Bytes > 0 {
		streamLive.send(ch, float64(others.live), "")
		streamBitrate.send(ch, others.bitrate, "")
		streamHeld.send(ch, float64(others.held), "")
		viewersOf(ch, "", others.viewers)
		counts(ch, "", c.streams.others.publisher)
	}
	all := map[string]int{}
	for _, stream := range audience {
		for protocol, n := range stream {
			all[protocol] += n
		}
	}
	for _, protocol := range protocolsOfViews {
		viewersNow.send(ch, float64(all[protocol]), protocol)
	}
	made := c.streams.made
	streamRenders.count(ch, made.Multivariants, "multivariant")
	streamRenders.count(ch, made.Playlists, "playlist")
	streamRenders.count(ch, made.Segments, "segment")
	streamRenders.count(ch, made.Parts, "part")
	streamRenders.count(ch, made.Inits, "init")
}

// audience counts viewers by stream and protocol.
func (c *collector) audience() map[string]map[string]int {
	all := map[string]map[string]int{}
	add := func(stream, protocol string, n int) {
		if all[stream] == nil {
			all[stream] = map[string]int{}
		}
		all[stream][protocol] += n
	}
	for _, p := range c.sources.Players() {
		add(p.Name.String(), "rtmp", 1)
	}
	c.sources.Traffic.Audience(add)
	return all
}

// named sends the series of one stream.
func named(ch chan<- prometheus.Metric, r remux.Report, audience map[string]int) {
	name := r.Name.String()
	streamLive.send(ch, truth(r.Phase == remux.Live), name)
	streamBitrate.send(ch, r.Bitrate, name)
	streamFrameRate.send(ch, r.FrameRate, name)
	streamHeld.send(ch, float64(r.HLS.Bytes), name)
	if k := r.KeyFrames; k.Last > 0 {
		streamInterval.send(ch, k.Last.Seconds(), name, "last")
		streamInterval.send(ch, k.Min.Seconds(), name, "min")
		streamInterval.send(ch, k.Max.Seconds(), name, "max")
	}
	if r.AVOffset != nil {
		streamAVOffset.send(ch, r.AVOffset.Seconds(), name)
	}
	viewersOf(ch, name, audience)
	counts(ch, name, r.Total)
}

func viewersOf(ch chan<- prometheus.Metric, name string, audience map[string]int) {
	for _, protocol := range protocolsOfViews {
		if n := audience[protocol]; n > 0 {
			streamViewers.send(ch, float64(n), name, protocol)
		}
	}
}

func counts(ch chan<- prometheus.Metric, name string, p remux.PublisherStats) {
	streamBytes.count(ch, p.Bytes, name)
	streamFrames.count(ch, p.VideoFrames, name, "video")
	streamFrames.count(ch, p.AudioFrames, name, "audio")
	streamDropped.count(ch, p.Malformed, name, "malformed")
	streamDropped.count(ch, p.Unsupported, name, "unsupported")
	streamDropped.count(ch, p.BeforeHeader, name, "before_header")
	streamDropped.count(ch, p.MetadataDropped, name, "metadata")
	streamBroken.count(ch, p.Discontinuities, name)
}
