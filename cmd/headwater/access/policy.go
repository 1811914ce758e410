package access

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"headwater/remux"
)

// Options is what a Policy needs to know beside its configuration.
type Options struct {
	Logger *slog.Logger // nil: no log
	// MadeKey is the key that was made at the first start. It is asked of
	// everybody but loopback, where the configuration does not decide itself.
	MadeKey Secret
	// Kept are keys that come and go while the server runs. They are good wherever a
	// secret is asked for. nil: there are none.
	Kept *KeyStore
	// Before is the policy that this one replaces. nil: there was none.
	Before *Policy
	// Transport wraps what callbacks are sent by, and keys of JWTs fetched. nil: nothing does.
	Transport func(http.RoundTripper) http.RoundTripper
	// TokenKeyFile is where the token command keeps the secret that it makes
	// where tokens.secrets is empty. "": there is none.
	TokenKeyFile string
}

// Policy decides who may publish and who may play. Its methods may be called by
// many goroutines at once.
type Policy struct {
	// fixed after New
	publishers    addresses
	players       addresses
	withoutSecret []netip.Prefix
	asks          bool // for a secret to publish
	protected     bool // playing needs a token
	failOpen      bool
	namesMayHide  bool // what is typed as a name may be a secret
	keys          publishKeys
	kept          *KeyStore // nil: none
	streamKeys    streamKeys
	tokens        *tokenSecrets
	jwt           *jwtVerifier // nil: none
	maxAge        time.Duration
	hooks         [4]*hook // by eventKind; nil: not set
	shown         fingerprints
	log           *slog.Logger

	limit  *failureLimit
	nonces *nonces
	plays  *playCache
	counts *counters
}

// New returns the policy of a configuration. It reads the files and variables
// that the configuration names; an error names the key.
func New(c Config, o Options) (*Policy, error) {
	if problems := c.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("access: %s", problems[0])
	}
	p := &Policy{
		publishers:    addresses{c.Publish.Allow, c.Publish.Deny},
		players:       addresses{c.Play.Allow, c.Play.Deny},
		withoutSecret: c.Publish.WithoutSecretFrom,
		asks:          c.asksForSecret() || !c.Decides(),
		protected:     c.Play.Access == "protected",
		failOpen:      c.Callbacks.OnFailure == "allow",
		namesMayHide:  len(c.Publish.Keys) > 0 || c.Callbacks.OnPublish != "",
		maxAge:        c.Tokens.MaxAge,
		kept:          o.Kept,
		shown:         newFingerprints(),
		log:           o.Logger,
		limit:         newFailureLimit(c.Publish.MaxFailures),
		nonces:        newNonces(),
		plays:         newPlayCache(c.Callbacks.PlayCache),
		counts:        &counters{},
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if !c.Decides() && o.MadeKey != "" {
		p.keys = publishKeys{{"made", everything, hashOf(string(o.MadeKey))}}
		if len(p.withoutSecret) == 0 {
			p.withoutSecret = loopback
		}
	}
	if err := p.loadKeys(c.Publish); err != nil {
		return nil, err
	}
	var err error
	if p.tokens, err = loadTokenSecrets(c.Tokens.Secrets, o.TokenKeyFile); err != nil {
		return nil, err
	}
	if err := p.loadJWT(c, o.Transport); err != nil {
		return nil, err
	}
	if err := p.loadHooks(c.Callbacks, o.Transport); err != nil {
		return nil, err
	}
	p.inherit(o.Before)
	return p, nil
}

func (p *Policy) loadKeys(c Publishing) error {
	if c.Key != "" {
		p.keys = append(p.keys, publishKey{"publish.key", everything, hashOf(string(c.Key))})
	}
	for i, k := range c.Secrets {
		text, err := loadSecret(k.Key, k.KeyFile, k.KeyEnv)
		if err == nil {
			err = checkUnreserved(text)
		}
		pattern := everything
		if err == nil && k.Name != "" {
			pattern, err = remux.ParsePattern(k.Name)
		}
		if err != nil {
			return fmt.Errorf("publish.secrets: entry %d (%s): %w", i+1, k.ID, err)
		}
		id := cmp.Or(k.ID, fmt.Sprintf("publish.secrets %d", i+1))
		p.keys = append(p.keys, publishKey{id, pattern, hashOf(text)})
	}
	var err error
	p.streamKeys, err = loadStreamKeys(c.Keys)
	return err
}

func (p *Policy) loadJWT(c Config, wrap wrapper) (err error) {
	var remote *jwks
	if c.JWT.JWKS != "" {
		remote = newJWKS(c.JWT, newClient(wrap, hostOf(c.JWT.JWKS)), p.log)
	}
	p.jwt, err = newJWTVerifier(c.JWT, c.Tokens.MaxAge, remote)
	return err
}

func (p *Policy) loadHooks(c Callbacks, wrap wrapper) error {
	var secret []byte
	if c.Secret != "" || c.SecretFile != "" {
		text, err := loadSecret(c.Secret, c.SecretFile, "")
		if err != nil {
			return fmt.Errorf("callbacks.secret: %w", err)
		}
		secret = []byte(text)
	}
	urls := [4]Endpoint{c.OnPublish, c.OnPublishDone, c.OnPlay, c.OnPlayDone}
	client := newClient(wrap, hostOf(urls[0]), hostOf(urls[1]), hostOf(urls[2]), hostOf(urls[3]))
	for i, u := range urls {
		if u != "" {
			p.hooks[i] = newHook(eventKind(i), u, c, client, secret, p.log)
		}
	}
	return nil
}

func hostOf(e Endpoint) string {
	u, err := url.Parse(string(e))
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Close tells callbacks what they have not been told yet, until ctx is done. It
// is called when nothing else is any more.
func (p *Policy) Close(ctx context.Context) {
	var closing sync.WaitGroup
	for _, h := range p.hooks {
		if h != nil {
			closing.Go(func() { h.close(ctx) })
		}
	}
	closing.Wait()
	for _, h := range p.hooks {
		if h != nil {
			h.client.CloseIdleConnections()
		}
	}
}

// ask puts an event to its callback. It returns a refusal, or the name that the
// stream has from now on; answered is false where nobody has said yes.
func (p *Policy) ask(ctx context.Context, e event) (public remux.Name, answered bool, refusal *Refusal) {
	h := p.hooks[e.kind]
	if h == nil {
		return e.name, false, nil
	}
	v, err := h.ask(ctx, e)
	switch {
	case err != nil && p.failOpen:
		return e.name, false, nil
	case err != nil:
		return e.name, false, rejected("this cannot be authorised at the moment; try again", "%s: %v", e.kind.name(), err)
	case v.refused:
		r := denied(cmp.Or(v.reason, "refused by the server's owner"))
		r.Detail = e.kind.name() + " refused"
		return e.name, true, r
	}
	return cmp.Or(v.rename, e.name), true, nil
}

// grant returns the permission for an event that was allowed.
func (p *Policy) grant(e event, name remux.Name) *Grant {
	e.public = name
	if done := p.hooks[e.kind+1]; done != nil {
		done.pending.Add(1)
	}
	return &Grant{App: name.App, Name: name.Stream, Key: e.key, Session: e.session, event: e, done: p.hooks[e.kind+1]}
}

// newSession returns the id of a session: a number that JSON of every language
// holds exactly.
func newSession() string { return strconv.FormatUint(rand.Uint64N(1<<53-1)+1, 10) }

// withoutSecrets returns the parameters that callbacks are told: those that were
// checked here, and those that the player's protocol uses, are left out.
func withoutSecrets(q url.Values, checked bool) url.Values {
	kept := url.Values{}
	for k, values := range q {
		if checked && (k == "key" || k == "token") || strings.HasPrefix(k, "_HLS_") {
			continue
		}
		kept[k] = values
	}
	return kept
}

// AsksForKeys reports whether a key of the KeyStore is of any use: whether a secret
// is asked for at all.
func (p *Policy) AsksForKeys() bool { return p.asks }
