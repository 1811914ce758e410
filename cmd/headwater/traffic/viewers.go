package traffic

import (
	"cmp"
	"errors"
	"hash/maphash"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Viewer is somebody who holds an endless body open.
type Viewer struct {
	ID       uint64
	Stream   string // APP/NAME
	Protocol string // http-flv, ws-flv or http-ts
	Remote   string
	Player   string // User-Agent
	TLS      bool
	Since    time.Time
	Bytes    uint64 // that have arrived, as far as it is known
	Known    bool   // whether Bytes is
	Skips    uint64 // how often it was too slow, and was skipped ahead
	Counted  bool   // whether Skips is
}

// viewer is a Viewer and its connection.
type viewer struct {
	Viewer
	conn   net.Conn // nil: HTTP/2, whose connection is not its own
	sent   atomic.Uint64
	skips  atomic.Uint64
	kicked atomic.Bool
}

var errKicked = errors.New("the viewer was removed by the operator")

// bytes returns how many have arrived: TCP knows, whoever has written them.
func (v *viewer) bytes() (n uint64, known bool) {
	if v.conn == nil {
		return v.sent.Load(), true
	}
	known = v.control(func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			n = info.Bytes_acked
		}
		return err
	})
	return n, known
}

// control does something to the socket, and reports whether that went well.
func (v *viewer) control(do func(fd int) error) (done bool) {
	conn := v.conn
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = c.NetConn()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) { done = do(int(fd)) == nil })
	return err == nil && done
}

// viewers are those who are there.
type viewers struct {
	mu   sync.Mutex
	last uint64
	byID map[uint64]*viewer
}

func (vs *viewers) add(r *http.Request, k Kind, conn net.Conn) *viewer {
	v := &viewer{conn: conn, Viewer: Viewer{
		Stream: streamOf(r.URL.Path), Protocol: protocolOf(r, k), Remote: r.RemoteAddr,
		Player: cut(r.UserAgent()), TLS: r.TLS != nil, Since: time.Now(),
	}}
	vs.mu.Lock()
	defer vs.mu.Unlock()
	vs.last++
	v.ID = vs.last
	vs.byID[v.ID] = v
	return v
}

func (vs *viewers) remove(v *viewer) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	delete(vs.byID, v.ID)
}

func protocolOf(r *http.Request, k Kind) string {
	switch {
	case k == TS:
		return "http-ts"
	case r.Header.Get("Upgrade") != "":
		return "ws-flv"
	}
	return "http-flv"
}

// cut returns a copy of free text of a client, shortened.
func cut(s string) string { return strings.Clone(s[:min(len(s), 256)]) }

// Viewers returns those who hold an endless body open, the oldest first.
func (t *Traffic) Viewers() []Viewer {
	t.viewers.mu.Lock()
	all := make([]*viewer, 0, len(t.viewers.byID))
	for _, v := range t.viewers.byID {
		all = append(all, v)
	}
	t.viewers.mu.Unlock()
	slices.SortFunc(all, func(a, b *viewer) int { return cmp.Compare(a.ID, b.ID) })
	shown := make([]Viewer, len(all))
	for i, v := range all {
		shown[i] = v.Viewer
		shown[i].Bytes, shown[i].Known = v.bytes()
		shown[i].Skips, shown[i].Counted = v.skips.Load(), v.conn != nil
	}
	return shown
}

// Kick ends a viewer's connection, or over HTTP/2 its answer. It returns false if
// there is none of that id.
func (t *Traffic) Kick(id uint64) bool {
	t.viewers.mu.Lock()
	v := t.viewers.byID[id]
	t.viewers.mu.Unlock()
	if v == nil {
		return false
	}
	v.kicked.Store(true)
	if v.conn != nil { // whoever writes to it finds out, and closes it
		return v.control(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
	}
	return true
}

// Audience counts viewers of endless bodies by stream and protocol.
func (t *Traffic) Audience(add func(stream, protocol string, n int)) {
	t.viewers.mu.Lock()
	for _, v := range t.viewers.byID {
		add(v.Stream, v.Protocol, 1)
	}
	t.viewers.mu.Unlock()
	for stream, n := range t.readers.count(time.Now()) {
		add(stream, "hls", n)
	}
}

const (
	// readerFor is how long a client counts as a viewer of HLS after a playlist: it
	// asks for one each target duration at least.
	readerFor = 30 * time.Second
	// maxReaders bounds those who are remembered.
	maxReaders = 100_000
)

// readers remember who has asked for playlists: HLS has no other viewers.
type readers struct {
	mu    sync.Mutex
	seed  maphash.Seed
	seen  map[uint64]reading
	swept time.Time
}

type reading struct {
	stream string
	at     time.Time
}

func (rs *readers) touch(r *http.Request, now time.Time) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	stream := streamOf(r.URL.Path)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.seed == (maphash.Seed{}) {
		rs.seed = maphash.MakeSeed()
	}
	id := maphash.Comparable(rs.seed, [3]string{host, r.UserAgent(), stream})
	if old, known := rs.seen[id]; known {
		rs.seen[id] = reading{old.stream, now}
		return
	}
	if now.Sub(rs.swept) > readerFor/3 {
		rs.sweep(now)
	}
	if len(rs.seen) < maxReaders {
		rs.seen[id] = reading{stream, now}
	}
}

// sweep forgets those who have gone. Callers hold mu.
func (rs *readers) sweep(now time.Time) {
	rs.swept = now
	for id, r := range rs.seen {
		if now.Sub(r.at) > readerFor {
			delete(rs.seen, id)
		}
	}
}

// count returns the readers by stream.
func (rs *readers) count(now time.Time) map[string]int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.sweep(now)
	n := map[string]int{}
	for _, r := range rs.seen {
		n[r.stream]++
	}
	return n
}

// watch returns conn, which is v's, with a function that is called once, before it is
// closed. What a TCP connection can do to its socket it still can.
func watch(conn net.Conn, v *viewer, closing func()) net.Conn {
	w := watchedConn{conn, v, sync.OnceFunc(closing)}
	if c, ok := conn.(syscall.Conn); ok {
		return &watchedSocket{w, c}
	}
	return &w
}

type watchedConn struct {
	net.Conn
	viewer  *viewer
	closing func()
}

// Skipped counts that the viewer was skipped ahead.
func (c *watchedConn) Skipped() { c.viewer.skips.Add(1) }

// NetConn returns what is underneath, for those who know its kind.
func (c *watchedConn) NetConn() net.Conn { return c.Conn }

// Close implements net.Conn.
func (c *watchedConn) Close() error {
	c.closing()
	return c.Conn.Close()
}

type watchedSocket struct {
	watchedConn
	socket syscall.Conn
}

// SyscallConn implements syscall.Conn.
func (c *watchedSocket) SyscallConn() (syscall.RawConn, error) { return c.socket.SyscallConn() }
