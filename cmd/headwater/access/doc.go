// Package access decides who may publish and who may play. It knows names,
// addresses and secrets, and nothing of media.
//
// # Order of a decision
//
// A publisher passes, in this order: the lists of addresses (deny wins), the
// limit of failed attempts of its address, a secret, and the on_publish
// callback, which has the last word and may give the stream another name. Any
// one valid secret is enough: a stream key (publish.keys: the typed name itself
// is the secret and stands for a public name), a key (?key=, publish.key and
// publish.secrets), a token or a JWT (?token=). Addresses of
// publish.without_secret_from need none. Where on_publish is set and no secret
// is, the callback decides alone. Where nothing is set at all, a key that was
// made at the first start is asked of everybody but loopback.
//
// A player passes the lists of addresses, a token or JWT where play.access is
// "protected", and the on_play callback. The answer is yes or no; nothing here
// can make what a player gets differ from what another one gets.
//
// # Tokens
//
// A token is
//
//	hw1.KEYID.PAYLOAD.MAC
//
// PAYLOAD is base64url without padding of the JSON object
//
//	{"act":"publish","name":"live/*","exp":1767225600,"nbf":1767139200,"ip":"203.0.113.0/24","nonce":"..."}
//
// and MAC is base64url without padding of HMAC-SHA256 over everything before
// the last dot, with the secret that KEYID names in tokens.secrets. act is
// publish or play; name is APP/NAME, where * stands for any run of characters
// within one half; exp, and nbf where given, are seconds since 1970 and may be
// off by 30 s. ip is an address or a network. A publish token with a nonce
// works once. Where tokens.secrets is empty, KEYID is "local" and the secret is
// in the data folder, where the token command makes it.
//
// # JWT
//
// HS256, RS256 and ES256. exp is required; what the token allows is the claim
//
//	"headwater": {"publish": ["live/*"], "play": ["*/*"]}
//
// A key verifies only its own algorithm. kid selects the key where both the
// token and the key have one.
//
// # Callbacks
//
// Each is one POST. With callbacks.secret set it carries
//
//	Headwater-Timestamp: 1767225600
//	Headwater-Signature: v1=HEX
//
// where HEX is HMAC-SHA256 over the timestamp, a dot and the body. Secrets that
// were checked here are not passed on. The formats are described at their
// dialects: headwater, nginx-rtmp and srs.
package access
