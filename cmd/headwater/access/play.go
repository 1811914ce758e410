package access

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"headwater/origin/peer"
	"headwater/remux"
)

// Play decides whether somebody may play. Every error is a *Refusal. The answer
// depends on the request and never on what the player would get.
//
// Of HLS each playlist is asked for anew, and no end can be seen: its Grant has
// no end to be told, and what on_play said counts for a while.
func (p *Policy) Play(ctx context.Context, r PlayRequest) (*Grant, error) {
	g, refusal := p.play(ctx, r)
	if refusal == nil {
		p.counts.play.granted.Add(1)
		return g, nil
	}
	refusal.Name = r.App + "/" + r.Name
	p.counts.play.refused(refusal.Kind)
	return nil, refusal
}

func (p *Policy) play(ctx context.Context, r PlayRequest) (*Grant, *Refusal) {
	name, err := remux.ParseName(r.App, r.Name)
	if err != nil {
		return nil, &Refusal{Kind: BadName, Text: err.Error()}
	}
	addr := peer.Plain(r.Remote.Addr())
	if !p.players.admit(addr) {
		return nil, denied("playing from this address is not allowed")
	}
	e := event{
		kind: playBegins, time: time.Now(), session: newSession(), name: name, protocol: r.Protocol, addr: addr,
		client: r.Player, page: r.Page, query: withoutSecrets(r.Query, p.protected), asker: context.WithoutCancel(ctx),
	}
	if p.protected {
		if !r.Query.Has("token") {
			return nil, denied("a token is needed: URL?token=TOKEN")
		}
		var refusal *Refusal
		if e.key, _, refusal = p.token(ctx, r.Query.Get("token"), Play, addr, name); refusal != nil {
			return nil, refusal
		}
	}
	if r.Protocol == HLS {
		if refusal := p.askOnce(ctx, e); refusal != nil {
			return nil, refusal
		}
		return &Grant{App: name.App, Name: name.Stream, Key: e.key, Session: e.session}, nil
	}
	if _, _, refusal := p.ask(ctx, e); refusal != nil {
		return nil, refusal
	}
	return p.grant(e, name), nil
}

// askOnce puts an event to on_play unless the answer is still remembered.
func (p *Policy) askOnce(ctx context.Context, e event) *Refusal {
	if p.hooks[playBegins] == nil {
		return nil
	}
	key := playKey(e)
	if text, ok := p.plays.get(key); ok && text != "" {
		return denied(text)
	} else if ok {
		return nil
	}
	_, _, refusal := p.ask(ctx, e)
	switch {
	case refusal == nil:
		p.plays.put(key, "", p.plays.keep)
	case refusal.Kind == Denied:
		p.plays.put(key, refusal.Text, min(p.plays.keep, deniedPlayCache))
	}
	return refusal
}

const (
	// A player that was refused may have paid since.
	deniedPlayCache = 5 * time.Second
	maxPlayCache    = 1 << 16
)

// playKey stands for who asks for what. It is a hash: parameters may be secret
// and long.
func playKey(e event) hash {
	return sha256.Sum256([]byte(strings.Join([]string{e.name.String(), e.addr.String(), e.key, e.query.Encode(), e.page}, "\n")))
}

// playCache remembers what on_play said about HLS players: the text of its
// refusal, or "".
type playCache struct {
	keep time.Duration // fixed

	mu      sync.Mutex
	answers expiring[hash, string]
}

func newPlayCache(keep time.Duration) *playCache {
	return &playCache{keep: keep, answers: expiring[hash, string]{most: maxPlayCache}}
}

func (c *playCache) get(key hash) (text string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.answers.get(key)
	return e.value, ok
}

func (c *playCache) put(key hash, text string, keep time.Duration) {
	if keep == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers.putAnyway(key, text, time.Now().Add(keep))
}
