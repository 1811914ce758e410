// Package ingest takes in publishers: it accepts their RTMP connections, asks
// whether each may publish, and writes what it sends to a stream of package
// remux.
//
// Every connection has one goroutine that reads and appends, nothing else. What
// the bytes mean is the business of ingest/rtmp; what frames are worth, of
// remux.
package ingest
