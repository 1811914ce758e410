package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/cmd/headwater/config"
	"headwater/ingest/relay"
	"headwater/origin/checkup"
)

var today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// machine is a root that a test fills.
type machine struct {
	t    *testing.T
	root string
}

func newMachine(t *testing.T) machine { return machine{t, t.TempDir()} }

func (m machine) file(path, text string) {
	m.t.Helper()
	path = filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// well is a machine and a configuration that nothing is wrong with.
func (m machine) well() Patient {
	m.file("proc/meminfo", "MemTotal:       16777216 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
	m.file("proc/sys/net/core/somaxconn", "4096\n")
	m.file("proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n")
	m.file("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
	m.file("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
	m.file("proc/sys/net/ipv4/tcp_slow_start_after_idle", "0\n")
	m.file("run/systemd/timesync/synchronized", "")
	cfg := config.Default()
	cfg.Data = m.t.TempDir()
	return Patient{
		Config: &cfg, Root: m.root, Now: today, Descriptors: 65536, Processors: 2, KeyFile: "publish.key",
		Caps:    func(*config.Config) (int, int, error) { return 1000, 60000, nil },
		Listen:  func(context.Context, string) error { return nil },
		Resolve: func(context.Context, string) error { return nil },
		Clock:   func() (bool, time.Duration, bool) { return true, 0, true },
	}
}

func TestWell(t *testing.T) {
	for _, f := range Examine(t.Context(), newMachine(t).well()) {
		if f.Severity != checkup.OK {
			t.Errorf("%+v", f)
		}
	}
}

// TestIll: one thing wrong each; want is the code, the severity and a piece of the
// text or of the advice.
func TestIll(t *testing.T) {
	tests := map[string]struct {
		wrong    func(m machine, p *Patient)
		code     string
		severity checkup.Severity
		says     string
	}{
		"swap": {func(m machine, _ *Patient) {
			m.file("proc/meminfo", "MemTotal: 16777216 kB\nSwapTotal: 1048576 kB\nSwapFree: 524288 kB\n")
		}, "memory.swap", checkup.Warning, "512 MiB"},
		"huge pages": {func(m machine, _ *Patient) {
			m.file("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n")
		}, "memory.huge_pages", checkup.Info, "madvise"},
		"container limit": {func(m machine, p *Patient) {
			m.file("sys/fs/cgroup/memory.max", "1073741824\n")
			p.Config.Limits.Memory = 2 * config.Gibibyte
		}, "memory.limit", checkup.Problem, "limits.memory: 768MiB"},
		"unit limit": {func(m machine, p *Patient) {
			m.file("proc/self/cgroup", "0::/system.slice/headwater.service\n")
			m.file("sys/fs/cgroup/system.slice/memory.max", "1073741824\n")
			m.file("sys/fs/cgroup/system.slice/headwater.service/memory.max", "max\n")
			p.Config.Limits.Memory = 1000 * config.Mebibyte
		}, "memory.limit", checkup.Warning, "1000 MiB of the 1024 MiB"},
		"little memory":    {func(m machine, _ *Patient) { m.file("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728") }, "memory.little", checkup.Warning, "128 MiB"},
		"half a processor": {func(m machine, _ *Patient) { m.file("sys/fs/cgroup/cpu.max", "50000 100000\n") }, "cpu.quota", checkup.Warning, "0.50 of one"},
		"too many processors": {func(m machine, p *Patient) {
			m.file("sys/fs/cgroup/cpu.max", "150000 100000\n")
			p.Processors = 8
		}, "cpu.gomaxprocs", checkup.Warning, "set it to 2"},
		"somaxconn":    {func(m machine, _ *Patient) { m.file("proc/sys/net/core/somaxconn", "128\n") }, "sysctl.net.core.somaxconn", checkup.Warning, `sysctl -w net.core.somaxconn="4096"`},
		"send buffers": {func(m machine, _ *Patient) { m.file("proc/sys/net/ipv4/tcp_wmem", "4096 16384 65536") }, "sysctl.net.ipv4.tcp_wmem", checkup.Warning, "64 KiB"},
		"ports of relays": {func(m machine, p *Patient) {
			m.file("proc/sys/net/ipv4/ip_local_port_range", "60000 61000")
			p.Config.Relay.Push = []relay.Push{{Name: "live/*", URL: "rtmp://192.0.2.1/live/x"}}
		}, "sysctl.net.ipv4.ip_local_port_range", checkup.Warning, "1001 ports"},
		"firewall": {func(m machine, _ *Patient) {
			m.file("proc/sys/net/netfilter/nf_conntrack_count", "60000")
			m.file("proc/sys/net/netfilter/nf_conntrack_max", "65536")
		}, "sysctl.net.netfilter.nf_conntrack_max", checkup.Problem, "262144"},
		"no clock": {func(m machine, p *Patient) { p.Now = time.Unix(0, 0) }, "clock.wrong", checkup.Problem, "1970"},
		"free clock": {func(m machine, p *Patient) {
			unsynchronized(m, p, false, 0)
		}, "clock.free", checkup.Warning, "timedatectl"},
		"clock off":        {func(m machine, p *Patient) { unsynchronized(m, p, true, 3*time.Second) }, "clock.off", checkup.Warning, "3.0 s"},
		"port taken":       {func(m machine, p *Patient) { taken(m, p, "nginx") }, "port.taken", checkup.Problem, "nginx (process 77)"},
		"port is ours":     {func(m machine, p *Patient) { taken(m, p, "headwater") }, "port.own", checkup.OK, "process 77"},
		"port unseen":      {func(m machine, p *Patient) { p.Listen = fails(syscall.EADDRINUSE) }, "port.taken", checkup.Problem, "sudo ss -ltnp 'sport = :1935'"},
		"low port":         {func(m machine, p *Patient) { p.Listen = fails(syscall.EACCES) }, "port.privilege", checkup.Problem, "CAP_NET_BIND_SERVICE"},
		"other address":    {func(m machine, p *Patient) { p.Listen = fails(syscall.EADDRNOTAVAIL) }, "port.address", checkup.Problem, ":1935"},
		"one port for two": {func(m machine, p *Patient) { p.Config.Admin.Listen = "127.0.0.1:8080" }, "port.twice", checkup.Problem, "http.listen and admin.listen"},
		"descriptors":      {func(m machine, p *Patient) { p.Descriptors = 1024 }, "descriptors.few", checkup.Warning, "LimitNOFILE"},
		"too few of them": {func(m machine, p *Patient) {
			p.Caps = func(*config.Config) (int, int, error) { return 0, 0, errors.New("too many") }
		}, "descriptors.short", checkup.Problem, "too many"},
		"data is a file":      {func(m machine, p *Patient) { p.Config.Data = filepath.Join(m.root, "proc/meminfo") }, "data.unusable", checkup.Problem, "is no folder"},
		"data cannot be made": {func(m machine, p *Patient) { p.Config.Data = filepath.Join(m.root, "proc/meminfo/x") }, "data.unusable", checkup.Problem, "install -d"},
		"data is read-only":   {func(m machine, p *Patient) { p.Config.Data = "/proc" }, "data.unwritable", checkup.Problem, "install -d"},
		"the key is visible": {func(m machine, p *Patient) {
			name := filepath.Join(p.Config.Data, "publish.key")
			if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Chmod(name, 0o644)); err != nil {
				m.t.Fatal(err)
			}
		}, "data.key_visible", checkup.Problem, "chmod 600"},
		"weak token": {func(m machine, p *Patient) {
			p.Config.Admin = config.Admin{Listen: ":8081", Token: "aaaaaaaaaaaaaaaaaaaaaaaa"}
		}, "admin.weak_token", checkup.Problem, "openssl rand"},
		"open to all": {func(m machine, p *Patient) {
			p.Config.Publish.WithoutSecretFrom = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		}, "publish.open", checkup.Problem, "everybody"},
		"guessing": {func(m machine, p *Patient) { p.Config.Publish.MaxFailures = 0 }, "publish.guessing", checkup.Warning, "max_failures: 5"},
		"unknown host": {func(m machine, p *Patient) {
			p.Config.Relay.Pull = []relay.Pull{{Name: "live/*", URL: "rtmp://origin.example/live/SECRET"}}
			p.Resolve = func(_ context.Context, host string) error { return &net.DNSError{Err: "no such host", Name: host} }
		}, "host.unknown", checkup.Problem, "relay.pull: the name origin.example"},
		"bad configuration": {func(m machine, p *Patient) { p.Config, p.Err = nil, errors.New("x.yaml:3: hls.windw: no such key") }, "config.invalid", checkup.Problem, "x.yaml:3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			p := m.well()
			m.t = t
			tt.wrong(m, &p)
			for _, f := range Examine(t.Context(), p) {
				if strings.Contains(f.Text+f.Advice, "SECRET") {
					t.Errorf("a secret is shown: %+v", f)
				}
				if f.Code == tt.code && f.Severity == tt.severity && strings.Contains(f.Text+" "+f.Advice, tt.says) {
					return
				}
			}
			t.Errorf("%s is not found:\n%+v", tt.code, Examine(t.Context(), p))
		})
	}
}

func unsynchronized(m machine, p *Patient, synchronized bool, off time.Duration) {
	if err := os.Remove(filepath.Join(m.root, "run/systemd/timesync/synchronized")); err != nil {
		m.t.Fatal(err)
	}
	p.Clock = func() (bool, time.Duration, bool) { return synchronized, off, true }
}

func fails(errno syscall.Errno) func(context.Context, string) error {
	return func(context.Context, string) error {
		return fmt.Errorf("listen: %w", &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", errno)})
	}
}

// taken has process 77 listen on port 1935 (078F).
func taken(m machine, p *Patient, comm string) {
	p.Listen = func(ctx context.Context, address string) error {
		if strings.HasSuffix(address, ":1935") {
			return fails(syscall.EADDRINUSE)(ctx, address)
		}
		return nil
	}
	m.file("proc/net/tcp", "  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4242 1\n")
	m.file("proc/net/tcp6", "  sl  local_address rem_address   st\n   0: 00000000000000000000000000000000:078F 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4711 1\n")
	m.file("proc/66/comm", "other\n")
	m.file("proc/77/comm", comm+"\n")
	fd := filepath.Join(m.root, "proc/77/fd")
	if err := errors.Join(os.MkdirAll(fd, 0o755), os.Symlink("socket:[4711]", filepath.Join(fd, "5"))); err != nil {
		m.t.Fatal(err)
	}
}

// TestCertificates makes real ones.
func TestCertificates(t *testing.T) {
	day := 24 * time.Hour
	tests := map[string]struct {
		change   func(c *x509.Certificate)
		other    bool // the key is another's
		code     string
		severity checkup.Severity
	}{
		"good":      {func(*x509.Certificate) {}, false, "certificate.self_signed", checkup.Info},
		"expired":   {func(c *x509.Certificate) { c.NotAfter = today.Add(-day) }, false, "certificate.expired", checkup.Problem},
		"soon":      {func(c *x509.Certificate) { c.NotAfter = today.Add(3 * day) }, false, "certificate.expires", checkup.Warning},
		"early":     {func(c *x509.Certificate) { c.NotBefore = today.Add(day) }, false, "certificate.early", checkup.Problem},
		"nameless":  {func(c *x509.Certificate) { c.DNSNames = nil }, false, "certificate.names", checkup.Problem},
		"other key": {func(*x509.Certificate) {}, true, "certificate.unusable", checkup.Problem},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			p := m.well()
			template := &x509.Certificate{
				SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"live.example"},
				NotBefore: today.Add(-30 * day), NotAfter: today.Add(60 * day),
			}
			tt.change(template)
			key, other := newKey(t), newKey(t)
			der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
			if err != nil {
				t.Fatal(err)
			}
			if tt.other {
				key = other
			}
			secret, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			m.file("tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
			m.file("tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
			p.Config.HTTPS = config.TLS{Listen: ":8443", Certificate: filepath.Join(m.root, "tls.crt"), Key: filepath.Join(m.root, "tls.key")}
			all := Examine(t.Context(), p)
			for _, f := range all {
				if f.Code == tt.code && f.Severity == tt.severity {
					return
				}
			}
			t.Errorf("%s is not found: %+v", tt.code, all)
		})
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
