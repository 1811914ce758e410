// Package turns has connections read at the same times, a few milliseconds apart,
// rather than each when something has come on it.
//
// A publisher of 2 Mbit/s sends some 75 messages a second. Read as they come, each
// costs a wake-up (the kernel's poll, a thread, a goroutine), a read, and a second
// read that finds nothing more: with 200 of them that was 45 switches of threads a
// second for each, and more CPU than all that is done with the bytes. In turns a
// read takes what a few messages have brought, one timer wakes everybody, and two
// switches are left. The price is the time to the next turn.
//
// Three things make it cheap. A turn is one channel that is closed, so that the
// scheduler gets all who wait at once. The read does not wait, so that the scheduler
// need not hear of it, and where it did not fill its buffer the socket is known to be
// empty without a second one. And the socket is told to report nothing below some
// tens of kilobytes (SO_RCVLOWAT), or else the runtime's poller would still wake up
// for each packet, for nobody.
//
// Of what a publisher costs then, in a profile of 200, two fifths are the kernel's
// reads (a third of that the acknowledgements that they send), a sixth is putting
// frames into their streams, an eighth the garbage collector, a twelfth the waking
// up, and a sixteenth each the making of tags and the reading of chunks.
package turns
