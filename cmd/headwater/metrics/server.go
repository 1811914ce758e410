package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"headwater/cmd/headwater/access"
	"headwater/ingest"
	"headwater/ingest/relay"
	"headwater/ingest/rtmp"
)

var (
	buildInfo = gauge("build_info", "1; the labels say which build this is.", "version", "commit", "go")
	ready     = gauge("ready", "Whether new work should be sent here.")

	memoryLimit = gauge("memory_limit_bytes", "What the process keeps to; 0: no limit.")
	memoryLive  = gauge("memory_live_bytes", "What was in use at the last garbage collection, and the stacks.")
	memoryFull  = gauge("memory_full", "Whether new publishers and viewers are refused for want of memory.")
	proxyTurned = counter("proxy_connections_refused_total", "Connections from proxy_protocol.from without a PROXY header, by listener.", "listener")

	adminOpen   = gauge("admin_connections", "Connections of the admin listener.")
	adminTurned = counter("admin_connections_refused_total", "Connections of operators that were closed on sight, by the limit.", "reason")

	httpRequests = counter("http_requests_total", "Answers by kind of object and class of status.", "kind", "code")
	httpBytes    = counter("http_response_bytes_total", "Bodies by kind of object; endless ones over HTTP/2 alone.", "kind")
	httpSeconds  = define(prometheus.UntypedValue, "http_request_duration_seconds", "How long answers took, endless ones apart. A blocking reload takes as long as a part or a segment.", "kind")
	httpInFlight = gauge("http_requests_in_flight", "Requests that are being answered, endless bodies apart.")
	httpWaiting  = gauge("http_requests_blocked", "HLS requests that wait for what is not there yet.")
	httpOpen     = gauge("http_connections", "Connections of the public listeners.")
	httpTurned   = counter("http_connections_refused_total", "Connections that were closed on sight, by the limit.", "reason")
	httpFailed   = counter("http_accept_errors_total", "Times that no connection could be accepted.")
	httpPanics   = counter("http_panics_total", "Requests that ended in a fault of the server.")
	viewerEnds   = counter("http_viewers_ended_total", "Viewers of endless bodies that have gone: ended, slow, memory, shutdown, closed.", "reason")
	viewerSkips  = counter("http_viewer_skips_total", "How often a viewer of an endless body was too slow and skipped ahead.")
	logDropped   = counter("access_log_dropped_total", "Lines that the access log has left out.")

	rtmpNow         = gauge("rtmp_sessions", "Sessions: connections, publishers among them, players among them.", "kind")
	rtmpAccepted    = counter("rtmp_connections_total", "Connections that were accepted.")
	rtmpTurned      = counter("rtmp_connections_refused_total", "Connections that were closed on sight, by the limit.", "reason")
	rtmpAcceptError = counter("rtmp_accept_errors_total", "Times that no connection could be accepted.")
	rtmpEnded       = counter("rtmp_sessions_ended_total", "Sessions that are over, by reason.", "reason")
	publishRefused  = counter("publish_refused_total", "Publishers that were refused, by what they were told.", "reason")
	playRefused     = counter("rtmp_play_refused_total", "RTMP players that were refused, by what they were told.", "reason")
	rtmpMessages    = counter("rtmp_received_messages_total", "Audio, video and data.")
	rtmpBytes       = counter("rtmp_received_bytes_total", "Of these messages.")
	rtmpSent        = counter("rtmp_sent_bytes_total", "To players.")
	rtmpSentFrames  = counter("rtmp_sent_frames_total", "To players.")
	rtmpSkips       = counter("rtmp_player_skips_total", "How often a player was too slow and skipped ahead.")

	decided         = counter("access_decisions_total", "Who was let in and who was not: granted, denied, rejected, bad_name.", "action", "outcome")
	limited         = counter("access_limited_total", "Publishers that were refused for failing too often.")
	jwksFailures    = counter("access_jwks_failures_total", "Key sets that could not be fetched.")
	callbackSeconds = define(prometheus.UntypedValue, "callback_duration_seconds", "How long callbacks took to answer, or not to.", "callback")
	callbackFailed  = counter("callback_failures_total", "Requests without a usable answer.", "callback")
	callbackDropped = counter("callback_dropped_total", "Ended sessions that a callback could not be told.", "callback")

	relaysNow    = gauge("relays", "Relays by direction and state.", "direction", "state")
	relayBytes   = counter("relay_bytes_total", "Sent or received.", "direction")
	relaySkips   = counter("relay_skips_total", "How often a target was too slow.", "direction")
	relayRetries = counter("relay_connections_total", "Connections that were tried.", "direction")
)

func (c *collector) process(ch chan<- prometheus.Metric) {
	s := c.sources
	buildInfo.send(ch, 1, s.Version, s.Commit, s.Go)
	ready.send(ch, truth(s.Ready()))
	m := s.Memory()
	memoryLimit.send(ch, float64(m.Limit))
	memoryLive.send(ch, float64(m.Live))
	memoryFull.send(ch, truth(m.Full))
	countAll(ch, proxyTurned, s.Proxies())
	operators := s.Operators()
	adminOpen.send(ch, float64(operators.Open))
	countAll(ch, adminTurned, operators.Refused, "max_connections")
}

// countAll sends a counter for each value of its label, zero for those of known that
// have not been counted: a rate needs a beginning.
func countAll[K ~string](ch chan<- prometheus.Metric, m metric, counts map[K]uint64, known ...K) {
	for _, k := range known {
		if _, there := counts[k]; !there {
			m.count(ch, 0, string(k))
		}
	}
	for k, n := range counts {
		m.count(ch, n, string(k))
	}
}

func (c *collector) http(ch chan<- prometheus.Metric) {
	for _, k := range c.sources.Traffic.Stats() {
		name := k.Kind.String()
		for class, n := range k.Codes {
			httpRequests.count(ch, n, name, class)
		}
		httpBytes.count(ch, k.Bytes, name)
		ch <- prometheus.MustNewConstHistogram(httpSeconds.desc, k.Durations.Count, k.Durations.Seconds, k.Durations.Below, name)
	}
	httpInFlight.send(ch, float64(c.sources.Traffic.InFlight()))
	web := c.sources.Web()
	httpOpen.send(ch, float64(web.Open))
	countAll(ch, httpTurned, web.Refused, "max_connections", "max_connections_per_address", "max_rate_per_address")
	httpFailed.count(ch, web.Failed)
	httpPanics.count(ch, c.sources.Panics())
	media := c.sources.Media()
	httpWaiting.send(ch, float64(media.Waiting))
	countAll(ch, viewerEnds, media.Ends, "ended", "slow", "memory", "shutdown", "closed", "panic")
	viewerSkips.count(ch, media.Skips)
	logDropped.count(ch, c.sources.Log.Dropped())
}

func (c *collector) rtmp(ch chan<- prometheus.Metric) {
	s := c.sources.Ingest()
	rtmpNow.send(ch, float64(s.Connections), "connection")
	rtmpNow.send(ch, float64(s.Publishers), "publisher")
	rtmpNow.send(ch, float64(s.Players), "player")
	rtmpAccepted.count(ch, s.Accepted)
	rtmpTurned.count(ch, s.OverLimit, "max_connections")
	rtmpTurned.count(ch, s.OverAddress, "max_connections_per_address")
	rtmpTurned.count(ch, s.OverRate, "max_rate_per_address")
	rtmpAcceptError.count(ch, s.AcceptErrors)
	countAll(ch, rtmpEnded, s.Ended, ingest.Reasons()...)
	countAll(ch, publishRefused, s.Refused, rtmp.PublishBadName, rtmp.PublishDenied, rtmp.PublishRejected)
	countAll(ch, playRefused, s.PlayRefused, rtmp.PlayFailed, rtmp.PlayNotFound)
	rtmpMessages.count(ch, s.Messages)
	rtmpBytes.count(ch, s.Bytes)
	rtmpSent.count(ch, s.PlayBytes)
	rtmpSentFrames.count(ch, s.PlayFrames)
	rtmpSkips.count(ch, s.PlaySkips)
}

func (c *collector) decisions(ch chan<- prometheus.Metric) {
	s := c.sources.Access()
	for action, d := range map[string]access.Decisions{"publish": s.Publish, "play": s.Play} {
		decided.count(ch, d.Granted, action, "granted")
		decided.count(ch, d.Denied, action, "denied")
		decided.count(ch, d.Rejected, action, "rejected")
		decided.count(ch, d.BadName, action, "bad_name")
	}
	limited.count(ch, s.Limited)
	jwksFailures.count(ch, s.JWKSFailures)
	for name, cb := range s.Callbacks {
		callbackFailed.count(ch, cb.Failures, name)
		callbackDropped.count(ch, cb.Dropped, name)
		ch <- prometheus.MustNewConstHistogram(callbackSeconds.desc, cb.Latency.Count, cb.Latency.Seconds, cb.Latency.Below, name)
	}
}

// relayLedger keeps the totals of relays from going back when one ends.
type relayLedger struct {
	last map[relayKey]relay.Status
	sum  map[relay.Kind]relay.Status
}

type relayKey struct{ kind, name, target string }

// note adds what the relays have had since the last scrape. One that was forgotten
// and begun anew in between counts from zero.
func (l *relayLedger) note(all []relay.Status) {
	now := make(map[relayKey]relay.Status, len(all))
	for _, s := range all {
		key := relayKey{string(s.Kind), s.Name.String(), s.Target}
		before, sum := l.last[key], l.sum[s.Kind]
		if s.Tries < before.Tries || s.Bytes < before.Bytes {
			before = relay.Status{}
		}
		sum.Bytes += s.Bytes - before.Bytes
		sum.Skips += s.Skips - min(s.Skips, before.Skips)
		sum.Tries += s.Tries - before.Tries
		l.sum[s.Kind], now[key] = sum, s
	}
	l.last = now
}

func (c *collector) relaying(ch chan<- prometheus.Metric) {
	all := c.sources.Relays()
	c.relays.note(all)
	states := map[relay.Kind]map[relay.State]int{relay.Pushing: {}, relay.Pulling: {}}
	for _, s := range all {
		states[s.Kind][s.State]++
	}
	for kind, n := range states {
		for _, state := range []relay.State{relay.Waiting, relay.Connecting, relay.Live, relay.Retrying} {
			relaysNow.send(ch, float64(n[state]), string(kind), string(state))
		}
		relayBytes.count(ch, c.relays.sum[kind].Bytes, string(kind))
		relaySkips.count(ch, c.relays.sum[kind].Skips, string(kind))
		relayRetries.count(ch, c.relays.sum[kind].Tries, string(kind))
	}
}
