// Package turns has connections read at the same times, a few milliseconds apart,
// by a goroutine that they share, rather than each by its own when something has come.
//
// A publisher of 2 Mbit/s sends some 75 messages a second. Read as they come, each
// costs a wake-up (the kernel's poll, a thread, a goroutine), a read, and a second
// read that finds nothing more: with 200 of them that was 45 switches of threads a
// second for each, and more CPU than all that is done with the bytes. In turns a
// read takes what a few messages have brought, and one timer does for all. The price is
// the time to the next turn.
//
// Four things make it cheap. What has come is handed to whoever knows what it means
// where it was read (Conn.Await): waking up a goroutine for each connection in each
// turn was a tenth of what a publisher cost, much of that stacks and buffers that had
// left the processor's caches since the last turn; now there is one stack and one
// buffer. What cannot be done without waiting is left to the connection's own
// goroutine, so that nobody delays the others. The read does not wait either, so that
// the scheduler need not hear of it, and where it did not fill its buffer the socket is
// known to be empty without a second one. And the socket is told to report nothing
// below some tens of kilobytes (SO_RCVLOWAT), or else the runtime's poller would still
// wake up for each packet, for nobody.
//
// Most streams that are published are watched by nobody at a given moment. Their
// connections are read in one turn of five (Conn.Wanted): what one turn costs,
// whatever it brings, is most of what a publisher costs, and a round of nobody else
// sleeps meanwhile. Nobody sees the delay. Who
// begins to watch gets what has been read up to then, and what came since at the next
// turn, a tenth of a second later at most; from there on each turn is taken. The same goes
// for streams whose viewers are all sent to at times further apart (package
// remux/fanout): of the turns between two of these times only the last is of use to them.
//
// Of what a publisher that is watched costs, in a profile of 200 whose windows were full,
// 41 % were the kernel's reads (half of that the acknowledgements that they send), 20 %
// putting frames into their streams, 12 % reading chunks, of which memory for frames was a
// third, 9 % the garbage collector, 7 % waking up. While windows fill, a fifth is the
// kernel's too, for memory that nobody has touched before. A program in C that reads each
// message as it comes and drops it cost two thirds of this; and about as much as it costs
// here when nobody watches.
//
// What is left to this process is little work and much waiting for memory: each place
// that belongs to one publisher is looked up once in 20 ms, when neither cache nor
// translation buffer know it any more, for some 0.3 µs. What lies together therefore
// counts for more than what is computed. Two things were measured and left: fetching the
// places of eight publishers ahead (5 % less, for reads of what others own), and huge
// pages for the heap (3 %).
package turns
