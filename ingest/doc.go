// Package ingest takes in publishers: it accepts their RTMP connections, asks
// whether each may publish, and writes what it sends to a stream of package
// remux. Over the same connections it sends streams to those that play them:
// players, and edges that pull.
//
// Every publisher has one goroutine that reads and appends, nothing else; a player
// has one that reads and one that sends (package feed). What the bytes mean is the
// business of ingest/rtmp; what frames are worth, of remux. What costs most of a
// publisher is waking up for it: package turns does that for all of them together.
package ingest
