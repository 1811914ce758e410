// Package conformance holds live streams of the server against the rules of
// HLS: draft-pantos-hls-rfc8216bis-22 (called bis), Apple's authoring
// specification for its devices (APL), ISO 13818-1 for MPEG-TS and ISO 14496-12
// and -15 for fragmented MP4, and against what the product promises to caches.
//
//	go test -tags e2e -count=1 ./scripts/conformance/...
//
// It is in three parts that know each other by data alone:
//
//   - Publisher, Clip and Feed publish over RTMP with timestamps, order and pace
//     under the test's control, faster than real time where no rule needs time.
//   - Recorder plays a stream like a low latency player and like a plain one,
//     asks the questions that players, caches and attackers ask (probes), and
//     keeps every answer with its times in a Recording.
//   - Rules are pure: each has an id, a reference and a check over a Recording.
//     The playlist parser and the readers of MPEG-TS and MP4 are the package's
//     own and strict; none of the server's code is used. Parameter sets are read
//     with mediacommon.
//
// TestRules shows that the rules have teeth: it plants one fault at a time in a
// recording, and wants the rule that is meant to complain, and no other.
//
// The tests need ffmpeg, for H.264 and AAC; all else is here. CONFORMANCE_BINARY
// names a server to test instead of building one. CONFORMANCE_KEEP names a folder
// for the playlists and the media of recordings that break a rule.
// CONFORMANCE_LONG=1 makes each stream some minutes long; it wants -timeout 30m.
package conformance
