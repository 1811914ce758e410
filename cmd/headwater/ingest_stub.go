package main

import (
	"context"
	"log/slog"
	"net"

	"headwater/cmd/headwater/config"
	"headwater/remux"
)

// publishing is what serve needs of the RTMP server.
type publishing interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
}

type noIngest struct{ l chan net.Listener }

func newIngest(*config.Config, *slog.Logger, *remux.Registry, *publishKey, connectionCaps) publishing {
	return noIngest{make(chan net.Listener, 1)}
}

func (n noIngest) Serve(l net.Listener) error {
	n.l <- l
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_ = c.Close()
	}
}

func (n noIngest) Shutdown(context.Context) error { return (<-n.l).Close() }
