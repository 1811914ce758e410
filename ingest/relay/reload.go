package relay

import (
	"slices"

	"headwater/remux"
)

// Next is a configuration that has been found good and waits to be put in force.
type Next struct {
	relay *Relay
	rules *rules
}

// Prepare checks a configuration, reads the files and variables that it names, and
// changes nothing.
func (r *Relay) Prepare(c Config) (*Next, error) {
	all, err := c.rules()
	if err != nil {
		return nil, err
	}
	return &Next{r, all}, nil
}

// Apply puts the configuration in force. What it has as well goes on as it is; the
// rest ends, and what is new begins.
func (n *Next) Apply() {
	r := n.relay
	r.mu.Lock()
	r.rules.Store(n.rules)
	for key, p := range r.pushes {
		if !has(n.rules.push, p.stream.Name, func(o rule) bool { return o.template == key.to }) {
			p.cancel()
			delete(r.pushes, key)
		}
	}
	for name, p := range r.pulls {
		same := func(o rule) bool {
			return o.template == p.rule.template && o.always == p.rule.always && o.idle == p.rule.idle
		}
		if !has(n.rules.pull, name, same) {
			p.cancel()
			delete(r.pulls, name)
		}
	}
	r.mu.Unlock()
	r.startPulls()
	r.startPushes()
}

// has reports whether one of the rules is for a name and such as is wanted.
func has(all []rule, name remux.Name, wanted func(rule) bool) bool {
	return slices.ContainsFunc(all, func(o rule) bool { return o.pattern.Match(name.App, name.Stream) && wanted(o) })
}
