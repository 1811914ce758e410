package access

import (
	"net/netip"
	"sync"
	"time"
)

// maxLimited bounds the addresses that are remembered. Above it some are
// forgiven: memory matters more than one guess.
const maxLimited = 1 << 16

// failureLimit counts failed attempts of each IPv4 address or IPv6 /64. An
// address may fail a number of times at once and gets them back evenly over a
// minute.
type failureLimit struct {
	burst time.Duration // what an address may owe: a minute
	each  time.Duration // what one failure costs

	mu   sync.Mutex
	debt map[netip.Prefix]time.Time // when all that an address owes is paid back
}

// newFailureLimit allows n failures a minute; 0 is no limit.
func newFailureLimit(n int) *failureLimit {
	l := &failureLimit{burst: time.Minute, debt: map[netip.Prefix]time.Time{}}
	if n > 0 {
		l.each = time.Minute / time.Duration(n)
	}
	return l
}

// limitKey returns what an address is counted as. Loopback is not: a proxy on
// this machine makes everybody look local.
func (l *failureLimit) limitKey(addr netip.Addr) (key netip.Prefix, counted bool) {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	key, err := addr.Prefix(bits)
	return key, err == nil && l.each > 0 && !addr.IsLoopback()
}

// wait returns how long an address must wait for its next attempt.
func (l *failureLimit) wait(addr netip.Addr) time.Duration {
	key, counted := l.limitKey(addr)
	if !counted {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	paid, known := l.debt[key]
	if !known {
		return 0
	}
	return max(time.Until(paid)-l.burst+l.each, 0)
}

// failed counts a failed attempt.
func (l *failureLimit) failed(addr netip.Addr) {
	key, counted := l.limitKey(addr)
	if !counted {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if _, known := l.debt[key]; !known && len(l.debt) >= maxLimited {
		l.forgive(now)
	}
	paid := l.debt[key]
	if paid.Before(now) {
		paid = now
	}
	l.debt[key] = paid.Add(l.each)
}

// forgive makes room: who owes nothing goes, and if nobody does then anybody.
func (l *failureLimit) forgive(now time.Time) {
	for key, paid := range l.debt {
		if paid.Before(now) {
			delete(l.debt, key)
		}
	}
	for key := range l.debt {
		if len(l.debt) < maxLimited {
			return
		}
		delete(l.debt, key)
	}
}
