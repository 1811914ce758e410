// Package ingest takes in publishers: it accepts their RTMP connections, asks
// whether each may publish, and writes what it sends to a stream of package
// remux. Over the same connections it sends streams to those that play them:
// players, and edges that pull.
//
// Every connection has a goroutine. What a publisher sends is read and appended by one
// that some hundred publishers share (package turns), and its own does what may have to
// wait: commands, answers, pauses. A player has one that reads and one that sends
// (package feed). What the bytes mean is the business of ingest/rtmp; what frames are
// worth, of remux.
package ingest
