package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"headwater/cmd/headwater/config"
	"headwater/origin/admin"
)

// reload reads the configuration again and puts in force what can change while
// streams go on: keys, tokens and callbacks, limits, relays, certificates, the admin
// token and the log level. Nobody is dropped. A configuration that is bad in any part
// changes nothing. Environment and flags are those of the start.
func (s *server) reload() (admin.Reloaded, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.handing.Load() {
		return admin.Reloaded{}, errHandingOver
	}
	s.manager.reloading()
	defer s.manager.ready()
	done, apply, err := s.prepare()
	if err != nil {
		s.log.Error("configuration not reloaded, nothing has changed", "error", err)
		return done, err
	}
	apply()
	s.log.Info("configuration reloaded", "changed", done.Changed, "restart_needed", done.Restart)
	return done, nil
}

// prepare does all that can fail, and returns what cannot. Callers hold reloading.
func (s *server) prepare() (done admin.Reloaded, apply func(), err error) {
	next, warnings, err := s.load()
	if err != nil {
		return done, nil, err
	}
	for _, w := range warnings {
		s.log.Warn(w)
	}
	next, done = s.merge(next)
	caps, err := shareDescriptors(s.limit, next)
	if err != nil {
		return done, nil, err
	}
	showCertificates, err := s.certs.reload(next)
	if err != nil {
		return done, nil, err
	}
	relays, err := s.relays.Prepare(next.Relay)
	if err != nil {
		return done, nil, err
	}
	policy, about, err := newPolicy(next, s.log, s.keys, s.policies.now(), s.tracing.Callbacks())
	if err != nil {
		return done, nil, err
	}
	if err := s.access.Reopen(); err != nil {
		return done, nil, fmt.Errorf("http.access_log: %w", err)
	}
	return done, func() {
		if about.keyMade {
			s.log.Warn("no secret is set any more: a publish key was made", "file", about.keyPath)
		}
		s.policies.replace(policy)
		showCertificates()
		s.cfg.Store(next)
		s.level.Set(levelOf(next.Log))
		s.rtmp.SetLimits(ingestConfig(next, s.log, s.registry, s.policies, s.relays, caps))
		s.web.setLimits(webLimits(next, caps))
		s.media.SetUnlimited(next.HTTP.UnlimitedFrom)
		s.traffic.Trust(next.HTTP.TrustedProxies)
		relays.Apply()
	}, nil
}

// merge returns what is made of a new configuration, and which of its keys differ.
func (s *server) merge(next *config.Config) (merged *config.Config, done admin.Reloaded) {
	now := s.cfg.Load()
	merged, done.Changed, done.Restart = config.Merge(now, next)
	if merged.Access().LimitsPlay() == now.Access().LimitsPlay() {
		return merged, done
	}
	// Whether anybody is asked about who plays cannot change: caches have been told
	// otherwise, and players let in.
	merged.Play, merged.Callbacks.OnPlay, merged.Callbacks.OnPlayDone = now.Play, now.Callbacks.OnPlay, now.Callbacks.OnPlayDone
	playing := func(key string) bool {
		return slices.Contains([]string{"play.access", "play.allow", "play.deny", "callbacks.on_play", "callbacks.on_play_done"}, key)
	}
	for _, key := range done.Changed {
		if playing(key) {
			done.Restart = append(done.Restart, key)
		}
	}
	done.Changed = slices.DeleteFunc(done.Changed, playing)
	return merged, done
}

// reloadOnHangup reloads at each SIGHUP until the function that it returns is called.
// A process that was started to ignore hangups (nohup) goes on ignoring them.
func (s *server) reloadOnHangup() (stop func()) {
	if signal.Ignored(syscall.SIGHUP) {
		return func() {}
	}
	hangups, quit := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-hangups:
				_, _ = s.reload() // it has logged what there is to say
			case <-quit:
				return
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		close(quit)
		running.Wait()
	}
}
