package main

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// banner is what a person who started the server wants to know next.
type banner struct {
	listeners  listeners
	key        string // "": not to be shown
	keyPath    string // "": the key came from the configuration
	keyMade    bool   // it is new and shown once
	asksForKey bool   // publish.key is set
}

// print writes the banner to standard output. Logs go to standard error, so a
// collector of logs sees none of it.
func (b banner) print(w io.Writer) {
	ls := b.listeners
	server := "rtmp://HOST" + withoutPort(ls.rtmp.Addr(), "1935") + "/live"
	var s strings.Builder
	s.WriteString("\nHeadwater is running. HOST is this machine's name or address; localhost on the machine itself.\n\nPublish, in OBS (Settings > Stream, Service: Custom):\n")
	fmt.Fprintf(&s, "  Server      %s\n", server)
	if ls.rtmps != nil {
		fmt.Fprintf(&s, "  or          rtmps://HOST%s/live\n", withoutPort(ls.rtmps.Addr(), "443"))
	}
	switch {
	case b.keyMade:
		fmt.Fprintf(&s, "  Stream Key  demo               from this machine\n")
		fmt.Fprintf(&s, "  Stream Key  demo?key=%s  from any other\n", b.key)
		fmt.Fprintf(&s, "  The publish key was made now. It is shown this once and kept in %s\n", b.keyPath)
	case b.keyPath != "":
		fmt.Fprintf(&s, "  Stream Key  demo               from this machine\n")
		fmt.Fprintf(&s, "  Stream Key  demo?key=SECRET    from any other; the secret is in %s\n", b.keyPath)
	case b.asksForKey:
		fmt.Fprintf(&s, "  Stream Key  demo?key=SECRET    the secret is the configured publish.key\n")
	default:
		fmt.Fprintf(&s, "  Stream Key  as the configuration asks for: demo?key=SECRET, demo?token=TOKEN or a stream key\n")
	}
	web := "http://HOST" + withoutPort(ls.http.Addr(), "80")
	fmt.Fprintf(&s, "Play:\n  HLS           %s/live/demo.m3u8\n  HLS, MPEG-TS  %s/live/demo.ts.m3u8\n  HTTP-FLV      %s/live/demo.flv\n", web, web, web)
	if ls.https != nil {
		fmt.Fprintf(&s, "  over TLS      the same at https://HOST%s\n", withoutPort(ls.https.Addr(), "443"))
	}
	fmt.Fprintf(&s, "Administer:\n  http://%s/\n\n", ls.admin.Addr())
	_, _ = io.WriteString(w, s.String())
}

// withoutPort returns ":PORT" of an address, or "" for the scheme's own port.
func withoutPort(a net.Addr, usual string) string {
	_, port, _ := net.SplitHostPort(a.String())
	if port == usual {
		return ""
	}
	return ":" + port
}
