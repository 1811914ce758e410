package access

import (
	"net/netip"
	"sync"
	"time"

	"headwater/origin/peer"
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
	debt expiring[netip.Prefix, struct{}] // ends when all that an address owes is paid back
}

// newFailureLimit allows n failures a minute; 0 is no limit.
func newFailureLimit(n int) *failureLimit {
	l := &failureLimit{burst: time.Minute, debt: expiring[netip.Prefix, struct{}]{most: maxLimited}}
	if n > 0 {
		l.each = time.Minute / time.Duration(n)
	}
	return l
}

// limitKey returns what an address is counted as. Loopback is not: a proxy on
// this machine makes everybody look local.
func (l *failureLimit) limitKey(addr netip.Addr) (key netip.Prefix, counted bool) {
	return peer.Network(addr), addr.IsValid() && l.each > 0 && !addr.IsLoopback()
}

// wait returns how long an address must wait for its next attempt.
func (l *failureLimit) wait(addr netip.Addr) time.Duration {
	key, counted := l.limitKey(addr)
	if !counted {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	owed, owes := l.debt.get(key)
	if !owes {
		return 0
	}
	return max(time.Until(owed.until)-l.burst+l.each, 0)
}

// failed counts a failed attempt.
func (l *failureLimit) failed(addr netip.Addr) {
	key, counted := l.limitKey(addr)
	if !counted {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	paid := time.Now()
	if owed, owes := l.debt.get(key); owes {
		paid = owed.until
	}
	l.debt.putAnyway(key, struct{}{}, paid.Add(l.each))
}
