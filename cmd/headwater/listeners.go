package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"

	"headwater/cmd/headwater/cert"
	"headwater/cmd/headwater/config"
	"headwater/cmd/headwater/proxied"
)

// listeners are bound before anything is served, so that a port that is taken
// ends the start and not a running stream. Those over TLS may be nil.
type listeners struct {
	rtmp, rtmps, http, https, admin *proxied.Listener
}

// namedListener is one of them as the log calls it.
type namedListener struct {
	*proxied.Listener
	proto string
}

// all returns those that are there, admin last.
func (ls listeners) all() []namedListener {
	var all []namedListener
	for _, l := range []namedListener{{ls.rtmp, "rtmp"}, {ls.rtmps, "rtmps"}, {ls.http, "http"}, {ls.https, "https"}, {ls.admin, "admin"}} {
		if l.Listener != nil {
			all = append(all, l)
		}
	}
	return all
}

// turnedAway returns how many connections of proxies were refused for want of a header,
// by the listeners that know proxies.
func (ls listeners) turnedAway() map[string]uint64 {
	all := map[string]uint64{}
	for _, l := range ls.all() {
		if l.proto != "admin" {
			all[l.proto] = l.Refused()
		}
	}
	return all
}

func (ls listeners) close() {
	for _, l := range ls.all() {
		_ = l.Close()
	}
}

func listenAll(ctx context.Context, cfg *config.Config, log *slog.Logger) (ls listeners, err error) {
	proxies := cfg.ProxyProtocol.From
	handed, err := inheritListeners(os.Getenv)
	if err != nil {
		return ls, err
	}
	defer func() { handed.close() }() // those that nobody took
	for _, l := range []struct {
		key, address string
		from         []netip.Prefix
		to           **proxied.Listener
	}{
		{"rtmp.listen", cfg.RTMP.Listen, proxies, &ls.rtmp},
		{"rtmps.listen", cfg.RTMPS.Listen, proxies, &ls.rtmps},
		{"http.listen", cfg.HTTP.Listen, proxies, &ls.http},
		{"https.listen", cfg.HTTPS.Listen, proxies, &ls.https},
		{"admin.listen", cfg.Admin.Listen, nil, &ls.admin},
	} {
		if l.address == "" {
			continue
		}
		tcp, err := handed.take(strings.TrimSuffix(l.key, ".listen")), error(nil)
		if tcp == nil {
			tcp, err = listen(ctx, l.address)
		}
		if err != nil {
			ls.close()
			return listeners{}, fmt.Errorf("%s: %w", l.key, err)
		}
		*l.to = proxied.New(tcp, l.from, log)
	}
	if err := handed.leftover(); err != nil {
		ls.close()
		return listeners{}, err
	}
	if cfg.Admin.Token == "" && !config.IsLoopback(ls.admin.Addr().String()) { // the configuration's address may be another
		ls.close()
		return listeners{}, fmt.Errorf("admin: %s was handed over: off loopback this listener needs admin.token", ls.admin.Addr())
	}
	return ls, nil
}

// certificates of the listeners over TLS; nil where there is none.
type certificates struct {
	rtmps, https *cert.Files
}

// reload checks the certificates that a new configuration names, and returns what
// puts them in force.
func (c certificates) reload(next *config.Config) (apply func(), err error) {
	var all []func()
	for _, l := range []struct {
		section string
		config.TLS
		files *cert.Files
	}{{"rtmps", next.RTMPS, c.rtmps}, {"https", next.HTTPS, c.https}} {
		if l.files == nil {
			continue
		}
		one, err := l.files.Prepare(l.Certificate, l.Key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.section, err)
		}
		all = append(all, one)
	}
	return func() {
		for _, one := range all {
			one()
		}
	}, nil
}

func loadCertificates(cfg *config.Config, log *slog.Logger) (c certificates, err error) {
	for _, l := range []struct {
		section string
		config.TLS
		to **cert.Files
	}{{"rtmps", cfg.RTMPS, &c.rtmps}, {"https", cfg.HTTPS, &c.https}} {
		if l.Listen == "" {
			continue
		}
		if *l.to, err = cert.Load(l.Certificate, l.Key, log); err != nil {
			return certificates{}, fmt.Errorf("%s: %w", l.section, err)
		}
	}
	return c, nil
}
