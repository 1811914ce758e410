// Package fanout writes live streams to viewers, with the same bytes for all: as bodies
// without an end, FLV or MPEG-TS, and as whatever else a Format makes of frames, such as
// RTMP's chunks. On plain TCP a few loops write, else a goroutine for each viewer.
//
// It stands above package remux, whose streams it reads, and below ingest and origin,
// which both send with it and know their protocols themselves.
//
// # Feeds
//
// A feed is one stream in one format. Once a turn, which is as long as frames are
// gathered (some 20 ms for up to 50 viewers, whose CPU is of no account), whoever comes first takes what is new and makes one block of it: one
// piece of memory, wrapped as an HTTP chunk, whose middle is the bare payload; the
// header of a WebSocket message is kept beside it. A block ends in front of a key
// frame, so that viewers can begin there. Blocks are immutable and linked from old to
// new. The feed has the newest one and the newest to begin with, a viewer has the one
// that it was sent last, and what nobody has any more is garbage: that is all the
// bookkeeping there is.
//
// A viewer that is in step, and nearly all are, gets the newest block with one write,
// and a pointer is set. One that is not walks the links. When it is further behind
// than the stream allows it is linked to the newest key frame instead, behind the
// block of which it has a part already; if that happens twice within half a minute it
// is closed. While there is no newer key frame it may fall behind twice as far; then
// it waits for the next. Who comes when the newest key frame is that far back waits too:
// of a stream that has no more of them, no more is held. So one who never reads holds on
// to blocks that others hold too, for ten seconds, and to no more than 512 KB in the
// kernel.
//
// The bound in bytes (stream.max_lag_bytes) is 32 MiB. Those who begin may be a group of
// pictures behind at once, 12.5 MB at 50 Mbit/s and 2 s, and 8 MiB would be 1.3 s of
// that: every short stall would be a jump. Since the blocks are shared, a viewer that is
// behind costs their memory once, however many there are.
//
// # What it costs
//
// Measured against a C program of one thread that writes blocks of the same size to
// each viewer and does nothing else: 1,000 viewers of 2.15 Mbit/s, CPU seconds a GB
// on a machine with two cores, in turns, the mean of three runs (two at 33 ms).
//
//	gathered over      33 ms  100 ms  350 ms
//	here                1.10    0.46    0.24
//	the C program       0.91    0.37    0.22
//
// With a cursor for each viewer and a writev of the frames it was a third more at 100 ms.
// What made the difference:
//
//   - One contiguous block in place of a list of frames: the kernel copies a long
//     piece faster than many short ones, and they stay in the cache.
//
//   - No lock, map, list of pieces, closure or clock for each viewer. The loop takes
//     one per cent of the time of a turn; all else is the kernel's.
//
//   - The turns of all loops are at the same times, so that a feed is packed once, and
//     4 ms behind those in which publishers are read (ingest/turns), so that nothing that
//     has come waits for the next: at 100 ms a picture is 43 to 71 ms late in the middle
//     and 78 to 107 ms at the 99th percentile, as the encoder's pictures happen to fall.
//
//   - Each loop has a thread of its own: 0.25 in place of 0.28 at 350 ms, no difference
//     at 100.
//
//   - A second loop is begun with when one is full (roomFor): two that write at once
//     cost a sixth more at 350 ms, since they take processors from each other and from
//     whoever reads on the same machine; a twelfth at 100, where a turn has to be over
//     sooner.
//
//   - The stream's publisher is read once for each turn, just before (remux.Cursor.Every):
//     a tenth less at 350 ms.
//
// A file in memory and sendfile, which copies nothing, was measured in place of writes,
// in C: 12 % cheaper at 100 ms and 27 % dearer at 350 ms.
//
// The socket's number is used directly, without the locks of package net: a loop is
// the only one to use and close its connections.
//
// A viewer costs 2 KB of memory beside what the kernel keeps.
//
// RTMP costs what HTTP-FLV does. 1,000 players of the same stream, gathered over 100 ms,
// beside 1,000 viewers of HTTP-FLV in the same process a moment later, the best of three:
//
//	                                        RTMP  HTTP-FLV
//	a cursor and a writev for each player   0.74  0.37
//	shared blocks from a loop               0.43  0.41
//
// (The C program: 0.36.)
//
// Of the first, two fifths were the kernel's for the bytes. The rest was a goroutine and
// timers that wake up for each player and turn, headers made and frames gathered for each,
// and a list of some twenty pieces that the kernel has to walk.
//
// # Connections of other kinds
//
// A connection that a loop cannot write to, one over TLS or a stream of HTTP/2, has a
// goroutine (Run, RunConn) that takes the same blocks by the same rules at the same
// times, and waits in its writes.
//
// A connection over which somebody else talks too is lent (Lend): the loop writes, but
// does not read or close it. What is said on such a Loan comes between two blocks, and
// when the loan ends the rest of what was begun is given back, so that its owner can go on.
//
// # Frames that nobody took
//
// A feed whose viewers all have goroutines is advanced by them. If they are stuck for so
// long that the stream has dropped what is next, or the whole process stood still, the
// block behind the hole is late: every viewer is skipped to it and begins anew there, and
// none is closed for it.
package fanout
