package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"headwater/origin/peer"
	"headwater/remux"
)

// wrongSecretDelay is how long a publisher without a right secret waits for its
// refusal: guessing stays slow, whoever mistyped hardly notices.
const wrongSecretDelay = time.Second

// Publish decides whether a publisher may publish, and under which name. Every
// error is a *Refusal. It may take as long as a callback does.
func (p *Policy) Publish(ctx context.Context, r Request) (*Grant, error) {
	g, refusal := p.publish(ctx, r)
	if refusal == nil {
		p.counts.publish.granted.Add(1)
		return g, nil
	}
	refusal.Name = p.shownName(r.App, r.Name)
	p.counts.publish.refused(refusal.Kind)
	return nil, refusal
}

func (p *Policy) publish(ctx context.Context, r Request) (*Grant, *Refusal) {
	name, err := remux.ParseName(r.App, r.Name)
	if err != nil {
		return nil, &Refusal{Kind: BadName, Text: err.Error()}
	}
	addr := peer.Plain(r.Remote.Addr())
	if !p.publishers.admit(addr) {
		return nil, denied("publishing from this address is not allowed")
	}
	if wait := p.limit.wait(addr); wait > 0 {
		p.counts.limited.Add(1)
		return nil, rejected(fmt.Sprintf("too many failed attempts from this address; try again in %d s", int(wait/time.Second)+1), "limit of failed attempts")
	}
	c, refusal := p.credential(ctx, r, name, addr)
	if refusal == nil {
		e := event{
			kind: publishBegins, time: time.Now(), session: newSession(), name: c.name, protocol: RTMP, addr: addr,
			client: r.Encoder, tcURL: r.TCURL, key: c.key, query: withoutSecrets(r.Query, p.asks), asker: context.WithoutCancel(ctx),
		}
		if p.asks {
			e.tcURL, _, _ = strings.Cut(e.tcURL, "?")
		}
		var public remux.Name
		var answered bool
		if public, answered, refusal = p.ask(ctx, e); refusal == nil {
			g := p.grant(e, public)
			g.Proved = answered || c.key != ""
			return g, nil
		}
		if c.nonce != "" {
			p.nonces.release(c.nonce) // it was not published with
		}
	}
	if refusal.Kind == Denied {
		p.limit.failed(addr)
		select {
		case <-time.After(wrongSecretDelay):
		case <-ctx.Done():
		}
	}
	return nil, refusal
}

// shownName returns a name for logs. Where a name can be a secret it is not
// shown before it has turned out to be public.
func (p *Policy) shownName(app, name string) string {
	if _, err := remux.ParseName(app, name); err != nil {
		return "" // not to be repeated, whatever it is
	}
	if p.namesMayHide {
		return p.shown.of(app + "/" + name)
	}
	return app + "/" + name
}

// credential is the right to publish that a publisher has shown.
type credential struct {
	name  remux.Name // the public one
	key   string     // id of the secret; "": none was needed
	nonce string     // of a token for one use, which is used now
}

// credential finds out with which right a publisher may use a name.
func (p *Policy) credential(ctx context.Context, r Request, name remux.Name, addr netip.Addr) (credential, *Refusal) {
	if public, ok := p.streamKeys.find(name.App, name.Stream); ok {
		return credential{name: public, key: "stream key of " + public.String()}, nil
	}
	if !p.asks {
		return credential{name: name}, nil
	}
	c := credential{name: name}
	var refusal *Refusal
	switch {
	case r.Query.Has("key"):
		id, ok := p.keys.find(r.Query.Get("key"), name.App, name.Stream)
		if !ok {
			id, ok = p.kept.find(r.Query.Get("key"), name.App, name.Stream)
		}
		c.key = id
		if ok {
			return c, nil
		}
		refusal = denied("the publish key is wrong or not for this name")
	case !r.Query.Has("token"):
		refusal = denied(p.whatIsNeeded())
	}
	if r.Query.Has("token") {
		id, nonce, tokenRefusal := p.token(ctx, r.Query.Get("token"), Publish, addr, name)
		if tokenRefusal == nil {
			c.key, c.nonce = id, nonce
			return c, nil
		}
		refusal = tokenRefusal
	}
	if peer.Among(p.withoutSecret, addr) {
		return credential{name: name}, nil
	}
	return credential{}, refusal
}

// whatIsNeeded tells who showed no secret which one to show.
func (p *Policy) whatIsNeeded() string {
	switch {
	case len(p.keys) > 0 || p.kept.has():
		return "a publish key is needed: the Stream Key is NAME?key=SECRET"
	case len(p.streamKeys) > 0:
		return "the stream key is wrong"
	}
	return "a token is needed: the Stream Key is NAME?token=TOKEN"
}

// token checks a token or JWT. It returns the id of what signed it, and the
// nonce that it has used up.
func (p *Policy) token(ctx context.Context, text string, action Action, addr netip.Addr, name remux.Name) (id, nonce string, refusal *Refusal) {
	if !strings.HasPrefix(text, tokenVersion+".") {
		return p.jwtToken(ctx, text, action, name)
	}
	var secret tokenSecret
	now := time.Now()
	t, err := Verify(text, func(keyID string) []byte {
		secret, _ = p.tokens.of(keyID)
		return secret.text
	}, now, p.maxAge)
	if err == nil {
		err = t.allows(action, addr, name.App, name.Stream)
	}
	if err == nil && !secret.scope.Match(name.App, name.Stream) {
		err = errors.New("the token is for another name")
	}
	if err != nil {
		refusal = denied(err.Error())
		if problem := p.tokens.problem(); problem != nil {
			refusal.Detail = problem.Error()
		}
		return "", "", refusal
	}
	id = "token:" + t.KeyID
	if t.Nonce == "" || action != Publish {
		return id, "", nil
	}
	nonce = t.KeyID + "." + t.Nonce
	switch p.nonces.use(nonce, t.Expires.Add(clockSkew)) {
	case nonceUsed:
		return "", "", denied("the token is for one use and has been used")
	case nonceFull:
		return "", "", rejected("too many tokens for one use are in use; try again later", "no room for a nonce")
	}
	return id, nonce, nil
}

func (p *Policy) jwtToken(ctx context.Context, text string, action Action, name remux.Name) (id, nonce string, refusal *Refusal) {
	if p.jwt == nil {
		return "", "", denied(errBadToken.Error())
	}
	id, err, detail := p.jwt.verify(ctx, text, action, name.App, name.Stream)
	if err == nil {
		return id, "", nil
	}
	if errors.Is(detail, errJWKSDown) {
		return "", "", rejected("this cannot be authorised at the moment; try again", "%v", detail)
	}
	refusal = denied(err.Error())
	if detail != nil {
		refusal.Detail = detail.Error()
	}
	return "", "", refusal
}
