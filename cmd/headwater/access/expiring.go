package access

import "time"

// expiring is a map of bounded size whose entries end by themselves. Its owner
// locks it.
type expiring[K comparable, V any] struct {
	most    int
	entries map[K]entry[V]
	swept   time.Time
}

type entry[V any] struct {
	value V
	until time.Time
}

// sweepInterval keeps a full map from being searched for every new entry.
const sweepInterval = 10 * time.Second

// get returns an entry that has not ended.
func (m *expiring[K, V]) get(key K) (entry[V], bool) {
	e, ok := m.entries[key]
	return e, ok && time.Now().Before(e.until)
}

// put reports whether there was room for an entry.
func (m *expiring[K, V]) put(key K, value V, until time.Time) bool {
	if m.entries == nil {
		m.entries = map[K]entry[V]{}
	}
	if _, known := m.entries[key]; !known && len(m.entries) >= m.most {
		m.sweep()
		if len(m.entries) >= m.most {
			return false
		}
	}
	m.entries[key] = entry[V]{value, until}
	return true
}

// putAnyway makes room if need be: some other entry goes.
func (m *expiring[K, V]) putAnyway(key K, value V, until time.Time) {
	if m.put(key, value, until) {
		return
	}
	for other := range m.entries {
		delete(m.entries, other)
		break
	}
	m.put(key, value, until)
}

// sweep drops what has ended.
func (m *expiring[K, V]) sweep() {
	now := time.Now()
	if now.Sub(m.swept) < sweepInterval {
		return
	}
	m.swept = now
	for key, e := range m.entries {
		if !now.Before(e.until) {
			delete(m.entries, key)
		}
	}
}
