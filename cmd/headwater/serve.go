package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"headwater/cmd/headwater/access"
	"headwater/cmd/headwater/config"
	"headwater/cmd/headwater/handover"
	"headwater/cmd/headwater/tracing"
	"headwater/cmd/headwater/traffic"
	"headwater/ingest"
	"headwater/ingest/relay"
	"headwater/origin"
	"headwater/origin/admin"
	"headwater/origin/http1"
	"headwater/remux"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take in publishers and serve players",
		Long: "Takes in RTMP publishers and serves their streams as HLS and HTTP-FLV.\n\n" +
			"Every key can also be set in the environment (HEADWATER_HLS_WINDOW) or in the file of\n" +
			"--config; `headwater config default` prints them all. A flag wins over the environment,\n" +
			"that over the file.",
		Args: cobra.NoArgs,
		RunE: runs(func(cmd *cobra.Command, _ []string) (err error) {
			before, err := handover.Find(os.Getenv)
			if err != nil {
				return err
			}
			defer func() {
				if err != nil {
					before.Failed(err)
				}
			}()
			cfg, warnings, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			log, level, flush := openLog(cmd.ErrOrStderr(), cfg.Log)
			defer flush()
			for _, w := range warnings {
				log.Warn(w)
			}
			ctx, stop := untilSignal(cmd.Context(), log)
			defer stop()
			again := func() (*config.Config, []string, error) { return loadConfig(cmd) }
			s := &server{log: log, level: level, load: again, before: before, manager: findManager(log)}
			s.cfg.Store(cfg)
			s.last = newHardStop(func() time.Duration { return s.cfg.Load().Shutdown.Grace }, log)
			defer context.AfterFunc(ctx, s.last.begin)()
			return s.serve(ctx, cfg, cmd.OutOrStdout())
		}),
	}
	addServeFlags(cmd)
	return cmd
}

// server is everything that one serve command runs.
type server struct {
	// fixed after build
	log       *slog.Logger
	level     *slog.LevelVar
	load      func() (*config.Config, []string, error) // reads the configuration again
	before    *handover.Predecessor                    // nil: this process takes over from nobody
	program   string                                   // what was started
	manager   manager
	last      *hardStop
	tracing   *tracing.Tracing // nil: nothing is traced
	limit     uint64           // on descriptors
	ls        listeners
	certs     certificates
	keys      *access.KeyStore
	policies  *policies
	memory    *remux.Memory
	room      *memoryWatch
	registry  *remux.Registry
	twinID    string // "": there is no twin
	relays    *relay.Relay
	rtmp      *ingest.Server
	media     *origin.Handler
	traffic   *traffic.Traffic
	access    *traffic.AccessLog
	http      *http.Server
	plain     *http1.Server // in front of http
	admin     *http.Server
	history   *admin.History
	web       *connectionPool // of the public listeners
	operators *connectionPool // of the admin listener

	cfg       atomic.Pointer[config.Config] // in force
	ready     atomic.Bool
	reloading sync.Mutex
	handing   atomic.Bool // another process is about to take over: it would not hear of changes

	running sync.WaitGroup            // everything that start started
	expire  func()                    // ends what ends streams, and the like
	settle  func()                    // writes the state for the last time
	unrelay func(ctx context.Context) // ends the relays
}

// serve runs the server until ctx is done, or another process has taken over, and then
// ends it in order. It returns nil when it ended as it was asked to.
func (s *server) serve(ctx context.Context, cfg *config.Config, stdout io.Writer) error {
	collectOften()
	upgrades := upgradeSignals()
	about, caps, err := s.open(ctx, cfg)
	if err != nil {
		return err
	}
	if err = s.build(cfg, caps, stdout); err == nil {
		err = s.takeOver()
	}
	if err != nil {
		s.ls.close()
		return err
	}
	failed := s.start()
	defer s.reloadOnHangup()()
	next, stop := s.handOver(ctx, upgrades)
	if s.before != nil {
		s.before.Ready() // and it tells the manager
	} else {
		s.manager.ready()
	}
	about.print(stdout)
	defer stop()
	select {
	case <-ctx.Done():
		return s.shutdown(nil)
	case successor := <-next:
		return s.shutdown(successor)
	case err := <-failed:
		s.log.Error("stopping", "error", err)
		return errors.Join(err, s.shutdown(nil))
	}
}

// open gets what the server needs of the machine: listeners and what is in files.
func (s *server) open(ctx context.Context, cfg *config.Config) (about banner, caps connectionCaps, err error) {
	if s.program, err = handover.Program(); err != nil {
		return about, caps, err
	}
	if s.limit, err = raiseDescriptorLimit(); err != nil {
		return about, caps, err
	}
	if caps, err = shareDescriptors(s.limit, cfg); err != nil {
		return about, caps, err
	}
	remux.LimitFiles(caps.files)
	if s.certs, err = loadCertificates(cfg, s.log); err != nil {
		return about, caps, err
	}
	if s.ls, err = listenAll(ctx, cfg, s.log); err != nil {
		return about, caps, err
	}
	if s.keys, err = access.OpenKeys(filepath.Join(cfg.Data, keptKeysFile)); err != nil {
		s.ls.close()
		return about, caps, err
	}
	b := buildInfo()
	s.tracing, err = tracing.New(tracing.Config{
		Endpoint: cfg.Tracing.Endpoint, OneIn: cfg.Tracing.OneIn, Version: b.Version, Logger: s.log,
		Known: func(name remux.Name) bool { return s.registry.Stream(name) != nil },
	})
	if err != nil {
		s.ls.close()
		return about, caps, err
	}
	policy, about, err := newPolicy(cfg, s.log, s.keys, nil, s.tracing.Callbacks())
	if err != nil {
		s.ls.close()
		return about, caps, err
	}
	s.policies, about.listeners = newPolicies(policy), s.ls
	s.log.Info("starting", "version", b.Version, "commit", b.Commit, "descriptors", s.limit, "rtmp_connections", caps.rtmp, "http_connections", caps.http)
	for _, l := range s.ls.all() {
		s.log.Info("listening", "addr", l.Addr().String(), "proto", l.proto)
	}
	return about, caps, nil
}

// build wires the parts together.
func (s *server) build(cfg *config.Config, caps connectionCaps, stdout io.Writer) (err error) {
	s.memory = remux.OpenMemory(filepath.Join(cfg.Data, "streams.json"), s.log)
	s.room = watchMemory(int64(cfg.Limits.Memory), s.log)
	s.registry = remux.NewRegistry(remuxOptions(cfg), s.memory)
	if cfg.Twin.URL != "" {
		s.twinID = rand.Text()
		s.registry.SetTwin(s.twinID, askTwin(cfg.Twin, s.log))
	}
	via := func(name remux.Name) []string { return s.rtmp.Via(name) }
	if s.relays, err = relay.New(cfg.Relay, relayOptions(s.log, s.registry, via)); err != nil {
		return err
	}
	publishers := ingestConfig(cfg, s.log, s.registry, s.policies, s.relays, caps)
	publishers.Full = s.room.Full
	publishers.Authorize = s.tracing.Publish(publishers.Authorize)
	if s.rtmp, err = ingest.New(publishers); err != nil {
		return err
	}
	if cfg.HTTP.AccessLog != "" {
		if s.access, err = traffic.OpenAccessLog(cfg.HTTP.AccessLog, cfg.Log.Format == "json", stdout); err != nil {
			return fmt.Errorf("http.access_log: %w", err)
		}
	}
	s.traffic = traffic.New(s.access, cfg.HTTP.TrustedProxies)
	s.traffic.Trace(s.tracing.Requests())
	viewers := originConfig(cfg, s.log, s.registry, s.policies, s.relays)
	viewers.Full = s.room.Full
	s.media = origin.New(viewers)
	s.room.shed = func() int { return s.media.Shed() + s.rtmp.Shed() }
	s.http = newHTTPServer(s.traffic.Handler(s.media), s.log)
	s.plain = &http1.Server{HTTP: s.http}
	s.web = newConnectionPool(webLimits(cfg, caps), s.log)
	s.operators = newConnectionPool(poolLimits{most: adminConnections}, s.log)
	s.history = admin.NewHistory(s.registry, s.audience)
	s.admin = newHTTPServer(admin.New(s.adminConfig()), s.log)
	s.admin.WriteTimeout = 30 * time.Second
	return nil
}

// newHTTPServer bounds what a client may take before its handler runs; the
// handlers bound what comes after.
func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // with the body, which only the admin listener reads
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(httpErrors{log.Handler()}, slog.LevelWarn),
		// The bounds of HTTP/2, which is spoken over TLS only.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 100, SendPingTimeout: 15 * time.Second, WriteByteTimeout: 20 * time.Second},
	}
}

// adminConnections are within reservedDescriptors: however many ask the admin
// listener, media has its own.
const adminConnections = 128

// start serves all listeners and returns a channel that gets an error when one
// of them stops by itself.
func (s *server) start() <-chan error {
	ls := s.ls
	failed := make(chan error, len(ls.all())) // no goroutine ever waits to say it
	run := func(name string, serve func() error) {
		s.running.Go(func() {
			if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				failed <- fmt.Errorf("serve %s: %w", name, err)
			}
		})
	}
	if ls.https != nil {
		// Before the plain listener serves: net/http sets HTTP/2 up once, at the
		// first, and then only if it is named here.
		s.http.TLSConfig = s.certs.https.Config()
		s.http.TLSConfig.NextProtos = []string{"h2", "http/1.1"}
	}
	run("rtmp", func() error { return s.rtmp.Serve(ls.rtmp) })
	if ls.rtmps != nil {
		run("rtmps", func() error { return s.rtmp.ServeTLS(ls.rtmps, s.certs.rtmps.Config()) })
	}
	run("http", func() error { return s.plain.Serve(&limitedListener{ls.http, s.web}) })
	if ls.https != nil {
		run("https", func() error { return s.http.ServeTLS(&limitedListener{ls.https, s.web}, "", "") })
	}
	run("admin", func() error { return s.admin.Serve(&limitedListener{ls.admin, s.operators}) })
	s.expire = s.until(s.registry.Run, s.endStanding, s.room.run, s.history.Run)
	s.settle = s.until(s.memory.Run)
	s.startRelays()
	s.ready.Store(true)
	return failed
}

// until runs all until the function that it returns is called, which waits for them.
func (s *server) until(all ...func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range all {
		running.Go(func() { run(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// startRelays runs the relays until unrelay is called, which waits for them.
func (s *server) startRelays() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	s.running.Go(func() {
		defer close(ended)
		s.relays.Run(ctx)
	})
	s.unrelay = func(grace context.Context) {
		cancel()
		select {
		case <-ended:
		case <-grace.Done():
			s.log.Warn("relays cut off", "error", grace.Err())
		}
	}
}
