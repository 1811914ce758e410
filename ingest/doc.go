// Package ingest takes in publishers: it accepts their RTMP connections, asks
// whether each may publish, and writes what it sends to a stream of package
// remux. Over the same connections it sends streams to those that play them:
// players, and edges that pull.
//
// Every connection has a goroutine. What a publisher sends is read and appended by one
// that some hundred publishers share (package turns), and its own does what may have to
// wait: commands, answers, pauses. A player is written to by a loop that many share, and
// has one goroutine that reads and one that waits for the end (package feed). What the bytes mean is the business of ingest/rtmp; what frames are
// worth, of remux.
package ingest
