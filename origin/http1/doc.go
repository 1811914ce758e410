// Package http1 answers HTTP/1.1 over plain TCP, in front of net/http.
//
// An HLS edge sends short GETs, one behind the other, on connections that it keeps.
// For those a loop reads the head, calls the handler and writes the answer: three
// system calls a request, and a few allocations of what the handler may look at.
// Whatever is not such a request, from HTTP/1.0 to a body, an escape in the path or
// a head that comes in pieces, is net/http's: the connection goes there, with what
// was read of it, and stays. So there is one handler and one set of headers, the
// loop has no rules of its own about odd input, and what it takes it takes only if
// every byte is beyond doubt (RFC 9112).
//
// net/http itself starts a goroutine for each request to see whether the client
// leaves, and stops it again. Here that is done where a handler waits for its
// context, which only one in a few does. Profiled with 64 connections that ask for a
// playlist as fast as they can, on two cores, that goroutine, its wake-ups and the
// deadlines around it were a third of a request's CPU; a body of 74 KB in memory
// cost as much again to copy into the socket, which Files spare it.
package http1
