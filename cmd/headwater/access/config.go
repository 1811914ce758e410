package access

import (
	"fmt"
	"net/netip"
	"time"
)

// Config is what an operator can set. Its keys are sections of the
// configuration file.
type Config struct {
	Publish   Publishing `yaml:"publish"`
	Play      Playing    `yaml:"play"`
	Tokens    Tokens     `yaml:"tokens"`
	JWT       JWT        `yaml:"jwt"`
	Callbacks Callbacks  `yaml:"callbacks"`
}

// Publishing says who may publish. Each list may be empty.
type Publishing struct {
	Key               Secret         `yaml:"key"`                 // of ?key=, for every name
	Secrets           []Key          `yaml:"secrets"`             // of ?key=, each for some names
	Keys              StreamKeys     `yaml:"keys"`                // secrets that are typed in a name's place
	Allow             []netip.Prefix `yaml:"allow"`               // empty: every address
	Deny              []netip.Prefix `yaml:"deny"`                // wins over allow
	WithoutSecretFrom []netip.Prefix `yaml:"without_secret_from"` // addresses that need none
	MaxFailures       int            `yaml:"max_failures"`        // wrong secrets of one address in a minute; 0: no limit
}

// StreamKeys are secrets of the form NAME or APP/NAME, and the public APP/NAME
// that each stands for.
type StreamKeys map[Secret]string

// MarshalText hides the secrets from JSON, which would show the keys of a map as
// they are.
func (k StreamKeys) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "(%d secrets)", len(k)), nil
}

// Key is a secret, given in one of three ways, and what it is for.
type Key struct {
	ID      string `yaml:"id"`       // what logs call it, and what tokens name: they need one
	Name    string `yaml:"name"`     // APP/NAME or a pattern; "": every name
	Key     Secret `yaml:"key"`      // the secret itself
	KeyFile string `yaml:"key_file"` // the file that holds it
	KeyEnv  string `yaml:"key_env"`  // the environment variable that holds it
}

// Playing says who may play.
type Playing struct {
	Access     string         `yaml:"access"`      // open, or protected: a token or JWT is needed
	EdgeSecret Secret         `yaml:"edge_secret"` // what an edge sends that decides about its viewers itself; "": none does
	Allow      []netip.Prefix `yaml:"allow"`
	Deny       []netip.Prefix `yaml:"deny"`
}

// Tokens are permissions that this program signs itself.
type Tokens struct {
	Secrets []Key         `yaml:"secrets"` // the first signs, all verify; empty: one is made in the data folder
	MaxAge  time.Duration `yaml:"max_age"` // tokens and JWTs that expire later are refused
}

// JWT is who else may sign permissions.
type JWT struct {
	Keys        []JWTKey      `yaml:"keys"`
	JWKS        Endpoint      `yaml:"jwks"`         // URL of a key set
	JWKSRefresh time.Duration `yaml:"jwks_refresh"` // it is fetched again when it is older
	Issuer      string        `yaml:"issuer"`       // "": any
	Audience    string        `yaml:"audience"`     // "": any
}

func (c JWT) set() bool { return len(c.Keys) > 0 || c.JWKS != "" }

// JWTKey verifies JWTs: a secret for HS256, a PEM public key or certificate for
// RS256 and ES256, given in one of three ways.
type JWTKey struct {
	ID      string `yaml:"id"`  // kid; "": of every token
	Alg     string `yaml:"alg"` // HS256, RS256 or ES256
	Key     Secret `yaml:"key"`
	KeyFile string `yaml:"key_file"`
	KeyEnv  string `yaml:"key_env"`
}

// Callbacks are URLs that are asked and told.
type Callbacks struct {
	OnPublish     Endpoint      `yaml:"on_publish"`
	OnPublishDone Endpoint      `yaml:"on_publish_done"`
	OnPlay        Endpoint      `yaml:"on_play"`
	OnPlayDone    Endpoint      `yaml:"on_play_done"`
	Format        string        `yaml:"format"`      // headwater, nginx-rtmp or srs
	Secret        Secret        `yaml:"secret"`      // signs requests; "": they are not signed
	SecretFile    string        `yaml:"secret_file"` // the file that holds it
	Timeout       time.Duration `yaml:"timeout"`     // for an answer, the wait for a place included
	OnFailure     string        `yaml:"on_failure"`  // refuse, or allow: what no answer means
	PlayCache     time.Duration `yaml:"play_cache"`  // how long what on_play said of an HLS player counts
}

// DefaultConfig returns the configuration of a server that was told nothing.
func DefaultConfig() Config {
	return Config{
		Publish: Publishing{MaxFailures: 5},
		Play:    Playing{Access: "open"},
		Tokens:  Tokens{MaxAge: 30 * 24 * time.Hour},
		JWT:     JWT{JWKSRefresh: 10 * time.Minute},
		Callbacks: Callbacks{
			Format:    "headwater",
			Timeout:   3 * time.Second,
			OnFailure: "refuse",
			PlayCache: 30 * time.Second,
		},
	}
}

// Decides reports whether the configuration itself says who may publish. Where
// it does not, New needs Options.MadeKey.
func (c Config) Decides() bool {
	return c.asksForSecret() || c.Callbacks.OnPublish != ""
}

// LimitsPlay reports whether anybody could be refused or has to be asked about who
// plays.
func (c Config) LimitsPlay() bool {
	p := c.Play
	return p.Access != "open" || len(p.Allow) > 0 || len(p.Deny) > 0 || c.Callbacks.OnPlay != "" || c.Callbacks.OnPlayDone != ""
}

// asksForSecret reports whether a kind of secret is set.
func (c Config) asksForSecret() bool {
	p := c.Publish
	return p.Key != "" || len(p.Secrets) > 0 || len(p.Keys) > 0 || len(c.Tokens.Secrets) > 0 || c.JWT.set()
}
