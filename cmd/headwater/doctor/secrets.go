package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"headwater/cmd/headwater/access"
	"headwater/cmd/headwater/config"
	"headwater/origin/checkup"
)

const (
	shortToken = 16 // characters of a token that opens everything
	shortKey   = 12 // of one that opens one thing, behind a limit of attempts
	fewLetters = 6  // different ones
)

func (e *exam) secrets() {
	c := &e.cfg
	const better = "openssl rand -base64 24 makes a good one."
	if weak(string(c.Admin.Token), shortToken) {
		s := checkup.Problem
		if config.IsLoopback(c.Admin.Listen) {
			s = checkup.Warning
		}
		e.say("admin.weak_token", s, "admin.token can be guessed.", better)
	}
	if c.Admin.Pprof && !config.IsLoopback(c.Admin.Listen) {
		e.say("admin.pprof", checkup.Warning, "admin.pprof shows what is in memory to whoever has the token.", "admin.pprof: false, unless it is needed now.")
	}
	for _, s := range []struct {
		key   string
		value config.Secret
	}{{"play.edge_secret", c.Play.EdgeSecret}, {"twin.token", c.Twin.Token}, {"callbacks.secret", c.Callbacks.Secret}} {
		if weak(string(s.value), shortToken) {
			e.say("secret.weak", checkup.Warning, s.key+" can be guessed.", better)
		}
	}
	e.publish()
}

// publish is about who may publish from elsewhere.
func (e *exam) publish() {
	p, c := &e.cfg.Publish, &e.cfg
	reachable := !config.IsLoopback(c.RTMP.Listen) || c.RTMPS.Listen != "" && !config.IsLoopback(c.RTMPS.Listen)
	for _, n := range p.WithoutSecretFrom {
		if n.Bits() == 0 && reachable {
			e.say("publish.open", checkup.Problem, "publish.without_secret_from lets everybody publish without a secret.", "Name the network of your encoders, such as 10.0.0.0/8.")
		}
	}
	if weak(string(p.Key), shortKey) {
		e.say("publish.weak_key", checkup.Warning, "publish.key can be guessed.", "openssl rand -base64 24 makes a good one; or leave it out, and one is made.")
	}
	for _, k := range p.Secrets {
		if weak(string(k.Key), shortKey) {
			e.say("publish.weak_key", checkup.Warning, fmt.Sprintf("The key %q of publish.secrets can be guessed.", k.ID), "openssl rand -base64 24 makes a good one.")
		}
	}
	if slices.ContainsFunc(slices.Collect(maps.Keys(p.Keys)), func(s access.Secret) bool { return weak(string(s), shortKey) }) {
		e.say("publish.weak_key", checkup.Warning, "A stream key of publish.keys can be guessed.", "openssl rand -hex 12 makes a good one.")
	}
	if p.MaxFailures == 0 && reachable {
		e.say("publish.guessing", checkup.Warning, "Anybody may try keys as often as they like.", "publish.max_failures: 5")
	}
	given := p.Key != "" || len(p.Secrets) > 0 || len(p.Keys) > 0 || len(c.Tokens.Secrets) > 0 || len(c.JWT.Keys) > 0 || c.JWT.JWKS != "" || c.Callbacks.OnPublish != ""
	switch {
	case given:
		e.say("publish.secret", checkup.OK, "Publishing needs a secret that is configured.", "")
	case reachable:
		e.say("publish.made_key", checkup.OK, fmt.Sprintf("No secret is configured: from other machines publishing needs the key that is made at the first start and kept in %s.", c.Data), "")
	default:
		e.say("publish.local", checkup.OK, "Only this machine can publish.", "")
	}
}

// weak reports whether a secret is short, or the same few characters over and over.
func weak(s string, length int) bool {
	if s == "" {
		return false // it is not used
	}
	different := map[rune]bool{}
	for _, r := range s {
		different[r] = true
	}
	return len(s) < length || len(different) < fewLetters
}

// resolveTimeout bounds the look-ups, all together.
const resolveTimeout = 3 * time.Second

// maxHosts bounds how many names are looked up.
const maxHosts = 64

// hosts looks up the names of other servers that the configuration knows.
func (e *exam) hosts(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	names := e.names()
	errs := make([]error, len(names))
	var running sync.WaitGroup
	for i, n := range names {
		running.Go(func() { errs[i] = e.Resolve(ctx, n.host) })
	}
	running.Wait()
	bad := false
	for i, err := range errs {
		if err == nil {
			continue
		}
		bad = true
		if d, ok := errors.AsType[*net.DNSError](err); ok {
			err = errors.New(d.Err)
		}
		e.say("host.unknown", checkup.Problem, fmt.Sprintf("%s: the name %s cannot be resolved: %v.", names[i].key, names[i].host, err), "getent hosts "+names[i].host+" should print its address: look at the name, and at /etc/resolv.conf.")
	}
	if len(names) > 0 && !bad {
		e.say("host.known", checkup.OK, fmt.Sprintf("All names of other servers resolve (%d).", len(names)), "")
	}
}

type namedHost struct{ key, host string }

func (e *exam) names() []namedHost {
	c := &e.cfg
	var all []namedHost
	add := func(key, address string) {
		u, err := url.Parse(address)
		if err != nil || u.Hostname() == "" || strings.ContainsAny(u.Hostname(), "{}") || net.ParseIP(u.Hostname()) != nil || len(all) == maxHosts {
			return
		}
		n := namedHost{key, u.Hostname()}
		if !slices.ContainsFunc(all, func(o namedHost) bool { return o.host == n.host }) {
			all = append(all, n)
		}
	}
	add("twin.url", c.Twin.URL)
	for _, p := range c.Relay.Push {
		add("relay.push", p.URL.String())
	}
	for _, p := range c.Relay.Pull {
		add("relay.pull", p.URL.String())
	}
	add("callbacks.on_publish", c.Callbacks.OnPublish.String())
	add("callbacks.on_publish_done", c.Callbacks.OnPublishDone.String())
	add("callbacks.on_play", c.Callbacks.OnPlay.String())
	add("callbacks.on_play_done", c.Callbacks.OnPlayDone.String())
	add("jwt.jwks", c.JWT.JWKS.String())
	return all
}
