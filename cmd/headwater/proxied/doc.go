// Package proxied tells who is behind a proxy: it takes in connections that
// begin with a PROXY protocol header, version 1 or 2, and gives them the address
// of the client that the header names.
//
// Only listed addresses may send a header, and they must: whether there is one
// is never guessed (PROXY protocol, section 2), because a proxy that forgets its
// header would lend its own address, and what that may do, to all its clients.
// Connections from anywhere else are passed on as they are, and what serves them
// takes a header for the garbage that it is there.
//
// References are to "The PROXY protocol", haproxy.org, of 2020/03/05.
package proxied
