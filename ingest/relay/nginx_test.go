package relay

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"headwater/remux"
)

// nginxModule is where Debian's libnginx-mod-rtmp puts its module.
const nginxModule = "/usr/lib/nginx/modules/ngx_rtmp_module.so"

// nginx is a server that is not ours.
type nginx struct {
	t      *testing.T
	path   string
	addr   string
	config string
	cmd    *exec.Cmd
	ended  sync.WaitGroup
}

func newNginx(t *testing.T) *nginx {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx"
	}
	for _, file := range []string{path, nginxModule} {
		if _, err := os.Stat(file); err != nil {
			t.Skip("nginx with its RTMP module is not installed")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nginx{t: t, path: path, addr: l.Addr().String()}
	_ = l.Close()
	dir := t.TempDir()
	n.config = filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf("load_module %s;\ndaemon off;\nmaster_process off;\npid %s/pid;\nerror_log %s/log;\nevents {}\n"+
		"rtmp { server { listen %s; application live { live on; publish_notify on; } } }\n", nginxModule, dir, dir, n.addr)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *nginx) start() {
	n.t.Helper()
	n.cmd = exec.Command(n.path, "-c", n.config)
	n.cmd.Stderr = os.Stderr
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	cmd := n.cmd
	n.ended.Go(func() { _ = cmd.Wait() })
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", n.addr); err == nil {
			_ = conn.Close()
			return
		}
	}
	n.t.Fatal("nginx does not listen")
}

func (n *nginx) stop() {
	_ = n.cmd.Process.Kill()
	n.ended.Wait()
}

// TestNginx: push to a server that is not ours, and pull from it; it dies and comes
// back.
func TestNginx(t *testing.T) {
	t.Parallel()
	n := newNginx(t)
	url := URL("rtmp://" + n.addr + "/live/{name}")
	a, b := newNode(t, nil), newNode(t, nil)
	a.relays(Config{Push: []Push{{Name: "live/*", URL: url}}}, nil)
	b.relays(Config{Pull: []Pull{{Name: "live/x", URL: url, Always: true}}}, func(r *Relay) { r.client.Idle = 2 * time.Second })
	a.broadcast("x", h264(t))
	a.awaitState("x", Live)
	var there *remux.Stream
	b.wait("the copy", func() bool {
		there = b.registry.Stream(liveName("x"))
		return there != nil && there.Config() != nil
	})
	var wg sync.WaitGroup
	var want []tag
	wg.Go(func() { want = frames(t, a.stream("x"), 120) })
	got := frames(t, there, 120)
	wg.Wait()
	same(t, want, got)

	n.stop()
	a.wait("a failure", func() bool { return a.status("x").State != Live })
	b.wait("a failure", func() bool { return b.status("x").State != Live })
	n.start()
	a.awaitState("x", Live)
	b.awaitState("x", Live)
	frames(t, b.stream("x"), 50)
}
