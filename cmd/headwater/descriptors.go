package main

import (
	"fmt"
	"syscall"

	"headwater/cmd/headwater/config"
	"headwater/cmd/headwater/proxied"
)

// reservedDescriptors are kept out of the caps on connections: listeners,
// files, and the runtime's own.
const reservedDescriptors = 256

// filesShare is the part of the limit that bodies in files may take, which spares
// copying them, if the caps leave it: not more than filesMost.
const filesShare, filesMost = 32, 512

// raiseDescriptorLimit raises the soft limit on open files to the hard one and
// returns what is in force. The Go runtime does the same at start on most
// systems; this makes it certain, and known.
func raiseDescriptorLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read descriptor limit: %w", err)
	}
	if limit.Cur < limit.Max {
		raised := syscall.Rlimit{Cur: limit.Max, Max: limit.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err == nil {
			limit = raised
		}
	}
	return limit.Cur, nil
}

// connectionCaps are the most connections each listener takes.
type connectionCaps struct {
	rtmp, http int
	files      int // bodies of objects
}

// shareDescriptors divides the descriptor limit between the listeners. Caps
// that the operator set are kept, and refused when the limit cannot hold them:
// a server that runs out of descriptors fails everyone, not the last to come.
func shareDescriptors(limit uint64, cfg *config.Config) (connectionCaps, error) {
	const most = 1 << 20
	reserved := reservedDescriptors
	if len(cfg.ProxyProtocol.From) > 0 {
		for _, address := range []string{cfg.RTMP.Listen, cfg.RTMPS.Listen, cfg.HTTP.Listen, cfg.HTTPS.Listen} {
			if address != "" {
				reserved += proxied.MaxPending
			}
		}
	}
	budget := int(min(limit, most)) - reserved
	caps := connectionCaps{rtmp: cfg.RTMP.MaxConnections, http: cfg.HTTP.MaxConnections}
	if caps.rtmp == 0 {
		caps.rtmp = max(1, min(1000, (budget-caps.http)/4))
	}
	files := int(min(limit/filesShare, filesMost))
	if caps.http == 0 {
		caps.http = max(1, budget-caps.rtmp-files)
	}
	caps.files = max(0, min(files, budget-caps.rtmp-caps.http))
	if caps.rtmp+caps.http > budget {
		return caps, fmt.Errorf("rtmp.max_connections (%d) and http.max_connections (%d) need %d file descriptors and the limit is %d: lower them, or raise it with ulimit -n",
			caps.rtmp, caps.http, caps.rtmp+caps.http+reserved, limit)
	}
	return caps, nil
}
