package main

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"headwater/cmd/headwater/access"
	"headwater/cmd/headwater/metrics"
	"headwater/origin/admin"
	"headwater/remux"
)

// What the admin listener is told of the parts that it does not know.

// started is when the process was.
var started = time.Now()

func (s *server) adminConfig() admin.Config {
	b := buildInfo()
	about := admin.Server{Version: b.Version, Commit: b.Commit, Go: b.Go, Started: started.UTC(), Listeners: map[string]string{}}
	for _, l := range s.ls.all() {
		about.Listeners[l.proto] = l.Addr().String()
	}
	return admin.Config{
		Token:      func() string { return string(s.cfg.Load().Admin.Token) },
		Ready:      s.ready.Load,
		Logger:     s.log,
		Server:     about,
		Registry:   s.registry,
		Publishers: s.publishers,
		Viewers:    s.viewers,
		KickViewer: s.kickViewer,
		Audience:   s.audience,
		History:    s.history,
		Relays:     s.relayStates,
		TwinID:     s.twinID,
		Keys:       keeper{s.keys, s.policies, s.handing.Load},
		Reload:     s.reload,
		Pprof:      s.cfg.Load().Admin.Pprof,
		Metrics:    s.metrics(b),
	}
}

func (s *server) metrics(b build) http.Handler {
	return metrics.Handler(metrics.Sources{
		Registry:  s.registry,
		Ingest:    s.rtmp.Stats,
		Players:   s.rtmp.Players,
		Media:     s.media.Stats,
		Relays:    s.relays.Status,
		Access:    func() access.Stats { return s.policies.now().Stats() },
		Traffic:   s.traffic,
		Web:       s.web.stats,
		Operators: s.operators.stats,
		Panics:    httpPanics.Load,
		Memory: func() metrics.Memory {
			m := metrics.Memory{Live: s.room.live(), Full: s.room.Full()}
			if s.room.limit < math.MaxInt64 {
				m.Limit = uint64(s.room.limit)
			}
			return m
		},
		Proxies: s.ls.turnedAway,
		Log:     s.access,
		Ready:   s.ready.Load,
		Streams: s.cfg.Load().Metrics.Streams,
		Version: b.Version, Commit: b.Commit, Go: b.Go,
	})
}

func (s *server) publishers() []admin.Publisher {
	var all []admin.Publisher
	for _, p := range s.rtmp.Publishers() {
		all = append(all, admin.Publisher{
			Session: p.Session, Stream: p.Name.String(), Remote: p.Remote.String(), Encoder: p.Encoder, KeyID: p.Key, TLS: p.TLS,
			Since: p.Since.UTC(), Bytes: p.Bytes, Messages: p.Messages,
		})
	}
	return all
}

// Viewers of either server are told apart by what their ids begin with.
const (
	rtmpViewer = "rtmp-"
	httpViewer = "http-"
)

func (s *server) viewers() []admin.Viewer {
	var all []admin.Viewer
	for _, p := range s.rtmp.Players() {
		all = append(all, admin.Viewer{
			ID: rtmpViewer + strconv.FormatUint(p.Session, 10), Stream: p.Name.String(), Protocol: string(access.RTMP),
			Remote: p.Remote.String(), Player: p.Player, TLS: p.TLS, Since: p.Since.UTC(), Bytes: &p.Bytes, Skips: &p.Skips,
		})
	}
	for _, v := range s.traffic.Viewers() {
		a := admin.Viewer{
			ID: httpViewer + strconv.FormatUint(v.ID, 10), Stream: v.Stream, Protocol: v.Protocol,
			Remote: v.Remote, Player: v.Player, TLS: v.TLS, Since: v.Since.UTC(),
		}
		if v.Known {
			a.Bytes = &v.Bytes
		}
		if v.Counted {
			a.Skips = &v.Skips
		}
		all = append(all, a)
	}
	return all
}

func (s *server) kickViewer(id string) bool {
	for prefix, kick := range map[string]func(uint64) bool{rtmpViewer: s.rtmp.KickPlayer, httpViewer: s.traffic.Kick} {
		if digits, ok := strings.CutPrefix(id, prefix); ok {
			n, err := strconv.ParseUint(digits, 10, 64)
			return err == nil && kick(n)
		}
	}
	return false
}

func (s *server) audience() admin.Audience {
	all := admin.Audience{}
	add := func(stream, protocol string, n int) {
		app, name, _ := strings.Cut(stream, "/")
		full := remux.Name{App: app, Stream: name}
		if all[full] == nil {
			all[full] = map[string]int{}
		}
		all[full][protocol] += n
	}
	for _, p := range s.rtmp.Players() {
		add(p.Name.String(), string(access.RTMP), 1)
	}
	s.traffic.Audience(add)
	return all
}

func (s *server) relayStates() []admin.Relay {
	var all []admin.Relay
	for _, r := range s.relays.Status() {
		a := admin.Relay{
			Kind: string(r.Kind), Stream: r.Name.String(), Target: r.Target, State: string(r.State), Since: r.Since.UTC(),
			Tries: r.Tries, Error: r.Error, Bytes: r.Bytes, Frames: r.Frames, Skips: r.Skips,
		}
		if !r.ErrorAt.IsZero() {
			at := r.ErrorAt.UTC()
			a.ErrorAt = &at
		}
		all = append(all, a)
	}
	return all
}

// keeper makes and revokes keys for the API.
type keeper struct {
	store    *access.KeyStore
	policies *policies
	handing  func() bool // another process has read the keys already
}

// List implements admin.Keys.
func (k keeper) List() (all []admin.Key) {
	for _, key := range k.store.Keys() {
		all = append(all, shownKey(key))
	}
	return all
}

func shownKey(k access.KeptKey) admin.Key {
	if k.Name == "" {
		k.Name = "*/*"
	}
	return admin.Key{ID: k.ID, Name: k.Name, Created: k.Created}
}

// Create implements admin.Keys.
func (k keeper) Create(o admin.KeyOrder) (admin.NewKey, error) {
	if k.handing() {
		return admin.NewKey{}, errHandingOver
	}
	if !k.policies.now().AsksForKeys() {
		return admin.NewKey{}, admin.NewProblem(http.StatusConflict, "callbacks.on_publish decides alone here, and no key is asked for; set publish.key or another secret first")
	}
	key, secret, err := k.store.Create(o.ID, o.Name)
	switch {
	case errors.Is(err, access.ErrKeyOrder):
		return admin.NewKey{}, admin.NewProblem(http.StatusBadRequest, "%s", err.Error())
	case errors.Is(err, access.ErrKeyExists), errors.Is(err, access.ErrTooManyKeys):
		return admin.NewKey{}, admin.NewProblem(http.StatusConflict, "%s", err.Error())
	case err != nil:
		return admin.NewKey{}, err
	}
	return admin.NewKey{Key: shownKey(key), Secret: secret}, nil
}

// Revoke implements admin.Keys.
func (k keeper) Revoke(id string) error {
	if k.handing() {
		return errHandingOver
	}
	if err := k.store.Revoke(id); !errors.Is(err, access.ErrNoKey) {
		return err
	}
	return admin.ErrNoKey
}
