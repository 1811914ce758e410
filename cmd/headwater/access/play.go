package access

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
	"time"

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
	addr := plain(r.Remote)
	if !p.players.admit(addr) {
		return nil, denied("playing from this address is not allowed")
	}
	e := event{
		kind: playBegins, time: time.Now(), session: newSession(), name: name, protocol: r.Protocol, addr: addr,
		client: r.Player, page: r.Page, query: withoutSecrets(r.Query, p.protected),
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
	if _, refusal := p.ask(ctx, e); refusal != nil {
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
	if known, ok := p.plays.get(key); ok {
		return known.refusal()
	}
	_, refusal := p.ask(ctx, e)
	switch {
	case refusal == nil:
		p.plays.put(key, playAnswer{until: time.Now().Add(p.plays.keep)})
	case refusal.Kind == Denied:
		p.plays.put(key, playAnswer{until: time.Now().Add(min(p.plays.keep, deniedPlayCache)), denied: refusal.Text})
	}
	return refusal
}

const (
	// A player that was refused may have paid since.
	deniedPlayCache = 5 * time.Second
	maxPlayCache    = 1 << 16
)

// playAnswer is what on_play said.
type playAnswer struct {
	until  time.Time
	denied string // the text; "": allowed
}

func (a playAnswer) refusal() *Refusal {
	if a.denied == "" {
		return nil
	}
	return denied(a.denied)
}

// playKey stands for who asks for what. It is a hash: parameters may be secret
// and long.
func playKey(e event) hash {
	return sha256.Sum256([]byte(strings.Join([]string{e.name.String(), e.addr.String(), e.key, e.query.Encode(), e.page}, "\n")))
}

// playCache remembers answers of on_play about HLS players.
type playCache struct {
	keep time.Duration // fixed

	mu      sync.Mutex
	answers map[hash]playAnswer
}

func (c *playCache) get(key hash) (playAnswer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.answers[key]
	return a, ok && time.Now().Before(a.until)
}

func (c *playCache) put(key hash, a playAnswer) {
	if c.keep == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers == nil {
		c.answers = map[hash]playAnswer{}
	}
	if len(c.answers) >= maxPlayCache {
		c.makeRoom()
	}
	c.answers[key] = a
}

// makeRoom forgets what is over, and if nothing is then something.
func (c *playCache) makeRoom() {
	now := time.Now()
	for key, a := range c.answers {
		if !now.Before(a.until) {
			delete(c.answers, key)
		}
	}
	for key := range c.answers {
		if len(c.answers) < maxPlayCache {
			return
		}
		delete(c.answers, key)
	}
}
