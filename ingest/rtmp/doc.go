// Package rtmp is the server's side of the Real-Time Messaging Protocol: bytes
// and messages. It knows connections, commands and media messages, and nothing
// of streams, names or who may publish; that is the Handler's business.
//
// The session itself (its states, its replies, their encoding) is go-rtmp's,
// but go-rtmp is never given a byte that came from outside. A guard owns the
// connection. It does the handshake, reads whole messages with a bounded
// chunk reader, hands media straight to the Handler, and gives go-rtmp only
// commands that it has parsed and written anew:
//
//	peer → ChunkReader → guard ─ media ──────────────→ Handler.Write
//	                       └─── commands, rewritten ─→ go-rtmp → Handler.Publish
//	peer ←─ one chunk a reply ← guard ←──── replies ───── go-rtmp
//
// go-rtmp reads on one goroutine a connection, and the guard works inside that
// Read. While it waits there for media, a connection that is read together with others
// hands what comes to guard.Turn, on their goroutine, and gives the session back to its
// own for all else. All methods of a Handler are therefore called one after the other:
// what a media message meets is decided by the commands in front of it, without a lock.
//
// References are to Adobe's RTMP specification 1.0 (2012), AMF 0 (2007) and to
// Enhanced RTMP v2 (Veovera, 2024).
package rtmp
