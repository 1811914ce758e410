// Package relay moves streams between servers over RTMP and RTMPS: it pushes those
// that are published here on to others, and pulls from others those that somebody
// here wants.
//
// # Push
//
// A stream whose name fits is sent to the target from its newest key frame on for
// as long as it is live, and again after every break. A target that is slow skips
// to a newer key frame; it is never waited for. Frames go as they are, those of
// Enhanced RTMP too.
//
// # Pull
//
// A stream is fetched always, or on demand: Demand is asked for a stream that is
// not there, and fetches it if its name fits, until nobody has wanted it for a
// while. Whoever publishes the name here wins over what would be pulled.
//
// # Secrets
//
// The last part of a URL and its query are what services call a stream key. They
// are in no log, error or status.
//
// # Circles
//
// A relay tells a server of this kind through which others its stream has come, and
// learns from it where it is. It goes no further than to a server where the stream
// has been (rtmp.ErrLoop).
package relay
