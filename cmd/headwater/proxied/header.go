package proxied

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

const (
	longestLine   = 107     // of version 1, its end included (section 2.1)
	longestBinary = 4 << 10 // what may follow the fixed part of version 2: addresses, certificates
	fixedBinary   = 16      // the fixed part: signature, command, family, length (section 2.2)
)

// errNoHeader says that a connection of a proxy began otherwise.
var errNoHeader = errors.New("no PROXY header")

// readHeader reads a header and not a byte more, so that whoever gets the
// connection can do with it whatever a connection can do. It returns the client's
// address; ok is false where the header names none, as for the proxy's own
// health checks.
func readHeader(r io.Reader) (client netip.AddrPort, ok bool, err error) {
	defer func() { // it runs on a goroutine of its own, on bytes of the network
		if v := recover(); v != nil {
			client, ok, err = netip.AddrPort{}, false, fmt.Errorf("parse PROXY header: panic: %v", v)
		}
	}()
	text, err := headerBytes(r)
	if err != nil {
		return client, false, err
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(text), len(text)))
	if err != nil {
		return client, false, fmt.Errorf("parse PROXY header: %w", err)
	}
	if h.Command.IsLocal() {
		return client, false, nil
	}
	from, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok { // a socket of another kind has no address that means anything here
		return client, false, nil
	}
	client = from.AddrPort()
	return netip.AddrPortFrom(client.Addr().Unmap(), client.Port()), true, nil
}

// headerBytes reads as far as the header goes.
func headerBytes(r io.Reader) ([]byte, error) {
	b := make([]byte, 1, longestLine)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	switch b[0] {
	case proxyproto.SIGV1[0]:
		return readLine(r, b)
	case proxyproto.SIGV2[0]:
		return readBinary(r, b)
	}
	return nil, errNoHeader
}

// readLine reads a header of version 1. Its length is not known before its end is
// there, so that it is read byte by byte: fifty short reads for a connection's
// whole life.
func readLine(r io.Reader, b []byte) ([]byte, error) {
	for len(b) < longestLine {
		n := len(b)
		b = b[:n+1]
		if _, err := io.ReadFull(r, b[n:]); err != nil {
			return nil, unexpected(err)
		}
		if n < len(proxyproto.SIGV1) && b[n] != proxyproto.SIGV1[n] {
			return nil, errNoHeader
		}
		if b[n] == '\n' {
			return b, nil
		}
	}
	return nil, errors.New("the line of the PROXY header does not end")
}

// readBinary reads a header of version 2.
func readBinary(r io.Reader, b []byte) ([]byte, error) {
	b = b[:fixedBinary]
	if _, err := io.ReadFull(r, b[1:]); err != nil {
		return nil, unexpected(err)
	}
	if !bytes.HasPrefix(b, proxyproto.SIGV2) {
		return nil, errNoHeader
	}
	n := int(binary.BigEndian.Uint16(b[fixedBinary-2:]))
	if n > longestBinary {
		return nil, fmt.Errorf("a PROXY header of %d bytes", fixedBinary+n)
	}
	b = append(b, make([]byte, n)...)
	if _, err := io.ReadFull(r, b[fixedBinary:]); err != nil {
		return nil, unexpected(err)
	}
	return b, nil
}

// unexpected says that a header has ended where it must not.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
