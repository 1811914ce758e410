package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"

	"headwater/cmd/headwater/access"
	"headwater/cmd/headwater/config"
	"headwater/ingest"
	"headwater/origin"
	"headwater/remux"
)

// Files in the data folder.
const (
	publishKeyFile = "publish.key" // asked for where the configuration asks for nothing
	tokenKeyFile   = "token.key"   // signs tokens where the configuration has no secret for it
	keptKeysFile   = "keys.json"   // publish keys that the API has made
)

// newPolicy returns who may publish and play, and what the banner says about it.
// before is the policy that it replaces, nil at the start.
func newPolicy(cfg *config.Config, log *slog.Logger, kept *access.KeyStore, before *access.Policy, transport func(http.RoundTripper) http.RoundTripper) (*access.Policy, banner, error) {
	c := cfg.Access()
	o := access.Options{Logger: log, TokenKeyFile: filepath.Join(cfg.Data, tokenKeyFile), Kept: kept, Before: before, Transport: transport}
	about := banner{asksForKey: cfg.Publish.Key != ""}
	if !c.Decides() {
		about.keyPath = filepath.Join(cfg.Data, publishKeyFile)
		key, made, err := access.KeepSecret(about.keyPath, rand.Text)
		if err != nil {
			return nil, banner{}, fmt.Errorf("publish key: %w (name a writable folder with --data, or set publish.key)", err)
		}
		o.MadeKey = access.Secret(key)
		if about.keyMade = made; made {
			about.key = key
		}
	}
	p, err := access.New(c, o)
	return p, about, err
}

// authorizePublish is the Authorize of ingest.Config.
func authorizePublish(ps *policies) func(context.Context, ingest.PublishRequest) (ingest.Grant, error) {
	return func(ctx context.Context, r ingest.PublishRequest) (ingest.Grant, error) {
		g, err := ps.now().Publish(ctx, access.Request{
			Remote: r.Remote, App: r.Name.App, Name: r.Name.Stream,
			Encoder: r.Encoder, TCURL: r.TCURL, Query: r.Query,
		})
		if err != nil {
			return ingest.Grant{}, ingestRefusal(err)
		}
		return ingest.Grant{
			Name: remux.Name{App: g.App, Stream: g.Name}, Key: g.Key, Proved: g.Proved,
			Done: func(e ingest.End) {
				g.Done(access.End{Reason: string(e.Reason), Bytes: e.Bytes, Duration: e.Duration})
			},
		}, nil
	}
}

// ingestRefusal says in ingest's words what access has refused.
func ingestRefusal(err error) error {
	r, ok := errors.AsType[*access.Refusal](err)
	if !ok {
		return err
	}
	refuse := map[access.Kind]func(string) *ingest.Refusal{
		access.Denied: ingest.Denied, access.Rejected: ingest.Rejected, access.BadName: ingest.BadName,
	}[r.Kind]
	refusal := refuse(r.Text)
	refusal.Detail, refusal.Name = r.Detail, r.Name
	return refusal
}

// rtmpPlays decides about players over RTMP, and keeps what it has granted until
// they have ended.
type rtmpPlays struct {
	policies *policies
	grants   sync.Map // ingest.PlayRequest.Session to *access.Grant
}

func (p *rtmpPlays) authorize(ctx context.Context, r ingest.PlayRequest) error {
	g, err := p.policies.now().Play(ctx, access.PlayRequest{
		Remote: r.Remote, App: r.Name.App, Name: r.Name.Stream, Protocol: access.RTMP,
		Player: r.Player, Page: r.Page, Query: r.Query,
	})
	if err != nil {
		return ingestRefusal(err)
	}
	p.grants.Store(r.Session, g)
	return nil
}

func (p *rtmpPlays) done(r ingest.PlayRequest, e ingest.PlayEnd) {
	if g, ok := p.grants.LoadAndDelete(r.Session); ok {
		g.(*access.Grant).Done(access.End{Reason: string(e.Reason), Bytes: e.Bytes, Duration: e.Duration})
	}
}

// authorizePlay is the Authorize of origin.Config.
func authorizePlay(ps *policies, log *slog.Logger) func(context.Context, origin.PlayRequest) (func(origin.PlayEnd), error) {
	return func(ctx context.Context, r origin.PlayRequest) (func(origin.PlayEnd), error) {
		g, err := ps.now().Play(ctx, access.PlayRequest{
			Remote: r.Remote, App: r.App, Name: r.Name, Protocol: access.Protocol(r.Protocol),
			Player: r.Player, Page: r.Page, Query: r.Query,
		})
		if refusal, ok := errors.AsType[*access.Refusal](err); ok {
			log.Debug("play refused", "name", refusal.Name, "remote", r.Remote.String(), "protocol", r.Protocol, "reason", refusal.Text, "detail", refusal.Detail)
			status := map[access.Kind]int{access.Rejected: http.StatusServiceUnavailable, access.BadName: http.StatusNotFound}[refusal.Kind]
			return nil, &origin.Refusal{Status: cmp.Or(status, http.StatusForbidden), Text: refusal.Text}
		}
		if err != nil {
			return nil, err
		}
		return func(e origin.PlayEnd) {
			g.Done(access.End{Reason: e.Reason, Bytes: e.Bytes, Duration: e.Duration})
		}, nil
	}
}
