package origin

import (
	"net/netip"
	"sync"

	"headwater/origin/peer"
)

// waitingRoom bounds the requests that wait for what is not there yet. Any address may
// have as many as it likes while there is room for all: a CDN asks for many viewers
// from few addresses, and nobody need list those. From half full on an address has a
// fair share, so that one alone cannot keep others from waiting, unless it is among those
// that are known as caches.
type waitingRoom struct {
	places int // in all
	share  int // of one address, once half of the places are taken

	mu        sync.Mutex
	n         int                  // guarded by mu
	byAddr    map[netip.Prefix]int // of these; guarded by mu
	unlimited []netip.Prefix       // addresses without a share; guarded by mu
}

const (
	// maxWaiting bounds the requests that wait at one time, and so those of one stream.
	maxWaiting = 20000
	// waitingShare is how many of them an address may always have.
	waitingShare = 50
)

func newWaitingRoom() *waitingRoom {
	return &waitingRoom{places: maxWaiting, share: waitingShare, byAddr: map[netip.Prefix]int{}}
}

// enter takes a place for a request from remote, as http.Request has it, or fails with
// a problem. leave gives the place back.
func (w *waitingRoom) enter(remote string) (leave func(), err error) {
	addr := address(remote)
	from := peer.Network(addr)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.n >= w.places:
		return nil, unavailable("too many requests wait already")
	case w.n >= w.places/2 && w.byAddr[from] >= w.share && !addr.IsLoopback() && !peer.Among(w.unlimited, addr):
		return nil, unavailable("too many requests of your address wait already")
	}
	w.n++
	w.byAddr[from]++
	return func() { w.leave(from) }, nil
}

func (w *waitingRoom) setUnlimited(from []netip.Prefix) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlimited = from
}

func (w *waitingRoom) leave(from netip.Prefix) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
	if w.byAddr[from]--; w.byAddr[from] == 0 {
		delete(w.byAddr, from)
	}
}

// count returns how many wait.
func (w *waitingRoom) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// address is that of a remote end as http.Request has it.
func address(remote string) netip.Addr {
	a, err := netip.ParseAddrPort(remote)
	if err != nil { // only in tests
		return netip.Addr{}
	}
	return peer.Plain(a.Addr())
}
