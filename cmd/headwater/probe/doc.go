// Package probe watches a live stream from outside, as a player would, and measures
// it: HLS, HTTP-FLV and MPEG-TS over HTTP, of any server. What it finds out about the
// encoder goes through origin/checkup, so that it says what the server's own console
// says; what it finds out about delivery (playlists, headers, caches, low latency)
// it judges itself, by rfc8216bis.
//
// The server at the other end may be anything, also hostile. Bodies are read in
// pieces and never kept; playlists, boxes, tags and tables have fixed bounds, and so
// have redirects, requests and time.
//
// It reads playlists and containers itself where libraries would refuse the very
// faults that it is there to name, know no low latency, or want whole bodies in
// memory. Codec records are read by remux/av, FLV tags by remux/flv.
package probe
