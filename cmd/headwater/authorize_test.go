package main

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headwater/cmd/headwater/access"
	"headwater/cmd/headwater/config"
	"headwater/ingest"
	"headwater/origin"
	"headwater/remux"
)

// TestAuthorizePublish: what the configuration says reaches ingest, with the public
// name, the key's id and whether anything was shown.
func TestAuthorizePublish(t *testing.T) {
	cfg := config.Default()
	made := access.Options{MadeKey: "the-made-key"}
	configured := config.Default()
	configured.Publish.Key = "the-key"
	configured.Publish.Keys = access.StreamKeys{"sk_1": "live/show"}
	for _, c := range []struct {
		cfg               *config.Config
		addr, name, query string
		public            string // "": refused
		proved            bool
		refusal           string
	}{
		{&cfg, "127.0.0.1", "x", "", "live/x", false, ""},
		{&cfg, "::ffff:127.0.0.1", "x", "", "live/x", false, ""},
		{&cfg, "127.0.0.1", "x", "key=the-made-key", "live/x", true, ""},
		{&cfg, "192.0.2.1", "x", "key=the-made-key", "live/x", true, ""},
		{&cfg, "192.0.2.1", "x", "", "", false, "is needed"},
		{&cfg, "192.0.2.1", "x", "key=wrong", "", false, "is wrong"},
		{&configured, "127.0.0.1", "x", "", "", false, "is needed"},
		{&configured, "127.0.0.1", "x", "key=the-key", "live/x", true, ""},
		{&configured, "192.0.2.1", "sk_1", "", "live/show", true, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, err := access.New(c.cfg.Access(), made)
			if err != nil {
				t.Fatal(err)
			}
			query, _ := url.ParseQuery(c.query)
			g, err := authorizePublish(newPolicies(p))(t.Context(), ingest.PublishRequest{
				Remote: netip.AddrPortFrom(netip.MustParseAddr(c.addr), 5), Name: remux.Name{App: "live", Stream: c.name}, Query: query,
			})
			if c.public == "" {
				r, ok := errors.AsType[*ingest.Refusal](err)
				if !ok || !strings.Contains(r.Description, c.refusal) {
					t.Errorf("%+v: %v", c, err)
				}
				return
			}
			if err != nil || g.Name.String() != c.public || g.Proved != c.proved || (g.Key != "") != c.proved {
				t.Errorf("%+v: %+v, %v", c, g, err)
			}
			g.Done(ingest.End{})
		})
	}
}

// TestAuthorizePlay: a token of the command opens what is protected.
func TestAuthorizePlay(t *testing.T) {
	cfg := config.Default()
	cfg.Data = t.TempDir()
	cfg.Play.Access = "protected"
	token, err := cfg.Tokens.Issue(access.Order{Action: access.Play, Name: "live/x", Expires: time.Hour}, filepath.Join(cfg.Data, tokenKeyFile), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, about, err := newPolicy(&cfg, nil, nil, nil, nil)
	if err != nil || !about.keyMade {
		t.Fatal(err, about.keyMade)
	}
	log, _ := newLogger(t.Output(), cfg.Log)
	for _, c := range []struct {
		name, token string
		status      int
	}{{"x", token, 0}, {"x", "", http.StatusForbidden}, {"y", token, http.StatusForbidden}, {"a b", token, http.StatusNotFound}} {
		query := url.Values{}
		if c.token != "" {
			query.Set("token", c.token)
		}
		remote := netip.MustParseAddrPort("192.0.2.1:5")
		_, err := authorizePlay(newPolicies(p), log)(t.Context(), origin.PlayRequest{Remote: remote, App: "live", Name: c.name, Protocol: "hls", Query: query})
		r, refused := errors.AsType[*origin.Refusal](err)
		if refused != (c.status != 0) || refused && r.Status != c.status {
			t.Errorf("%s: %v", c.name, err)
		}
		plays := rtmpPlays{policies: newPolicies(p)}
		request := ingest.PlayRequest{Session: 7, Remote: remote, Name: remux.Name{App: "live", Stream: c.name}, Query: query}
		if err := plays.authorize(t.Context(), request); (err == nil) != (c.status == 0) {
			t.Errorf("%s over RTMP: %v", c.name, err)
		}
		plays.done(request, ingest.PlayEnd{})
		plays.grants.Range(func(any, any) bool { t.Error("a grant is kept after its end"); return false })
	}
}
