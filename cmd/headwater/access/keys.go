package access

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"maps"
	"slices"
	"strings"

	"headwater/remux"
)

// hash is all that is kept of a secret that is only compared.
type hash [sha256.Size]byte

func hashOf(secret string) hash { return sha256.Sum256([]byte(secret)) }

// publishKey is one secret of ?key= and the names that it opens.
type publishKey struct {
	id      string
	pattern remux.Pattern
	hash    hash
}

type publishKeys []publishKey

// find returns the id of the key that was shown, if it is one for app/name. How
// long it takes does not depend on the keys: every one is compared in full,
// after the right one as well.
func (ks publishKeys) find(shown, app, name string) (id string, ok bool) {
	h, found := hashOf(shown), -1
	for i := range ks {
		fits := 0
		if ks[i].pattern.Match(app, name) {
			fits = 1
		}
		found = subtle.ConstantTimeSelect(fits&subtle.ConstantTimeCompare(h[:], ks[i].hash[:]), i, found)
	}
	if found < 0 {
		return "", false
	}
	return ks[found].id, true
}

// streamKey is a secret that is typed in a name's place.
type streamKey struct {
	hash   hash
	public remux.Name
}

type streamKeys []streamKey

// loadStreamKeys puts those of APP/NAME last: where one of NAME fits as well, it
// is the last that find returns.
func loadStreamKeys(keys StreamKeys) (streamKeys, error) {
	order := slices.SortedFunc(maps.Keys(keys), func(a, b Secret) int {
		return cmp.Or(strings.Count(string(a), "/")-strings.Count(string(b), "/"), strings.Compare(string(a), string(b)))
	})
	var ks streamKeys
	for _, secret := range order {
		name, err := parsePublicName(keys[secret], "")
		if err != nil {
			return nil, fmt.Errorf("publish.keys: %q: %w", keys[secret], err)
		}
		ks = append(ks, streamKey{hashOf(string(secret)), name})
	}
	return ks, nil
}

// find returns the public name that app/name stands for: NAME alone is the
// secret, or APP/NAME is. It takes as long whatever was typed.
func (ks streamKeys) find(app, name string) (public remux.Name, ok bool) {
	alone, both, found := hashOf(name), hashOf(app+"/"+name), -1
	for i := range ks {
		equal := subtle.ConstantTimeCompare(alone[:], ks[i].hash[:]) | subtle.ConstantTimeCompare(both[:], ks[i].hash[:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	if found < 0 {
		return remux.Name{}, false
	}
	return ks[found].public, true
}
