// Package e2e proves the whole path on real input: it builds the binary, starts
// it on free ports of 127.0.0.1, pushes sources made by ffmpeg, and holds what
// comes out as HTTP-FLV, TS-HLS and fMP4-HLS against what went in, packet by
// packet.
//
//	go test -tags e2e -count=1 ./scripts/e2e/...
//
// It needs ffmpeg and ffprobe; what needs GStreamer or VLC is skipped where
// they are missing, unless E2E_ALL is set. E2E_BINARY names a binary to test
// instead of building one.
//
// The checks themselves are checked too: TestSelf… run them over files that
// ffmpeg wrote, whole and damaged, so that a silent checker would be noticed.
package e2e
