package main

import (
	"os"
	"testing"
	"testing/fstest"
)

// TestAvailable: the least limit counts, wherever in the tree of control groups it is.
func TestAvailable(t *testing.T) {
	const machine = "MemTotal:        1000 kB\nMemFree:          900 kB\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"nobody says", nil, 0},
		{"machine", map[string]string{"proc/meminfo": machine}, 1000 << 10},
		{"container", map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "5000\n"}, 5000},
		{"unit", map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/system.slice/headwater.service\n", "sys/fs/cgroup/system.slice/memory.max": "max\n",
			"sys/fs/cgroup/system.slice/headwater.service/memory.max": "4000\n",
		}, 4000},
		{"slice above the unit", map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/a/b/c\n", "sys/fs/cgroup/a/memory.max": "3000\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/b/c/memory.max": "6000\n",
		}, 3000},
		{"more than the machine", map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "9223372036854771712\n"}, 1000 << 10},
		{"version 1", map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/x\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "2000\n",
		}, 2000},
		{"nonsense", map[string]string{"proc/meminfo": "MemTotal: x kB\n", "proc/self/cgroup": "\n0:\n0::../../etc\n", "sys/fs/cgroup/memory.max": "-1\n", "sys/fs/cgroup/etc/memory.max": "\n"}, 0},
	} {
		files := fstest.MapFS{}
		for name, text := range c.files {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := available(files); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if n := available(os.DirFS("/")); n < 64<<20 {
		t.Errorf("this machine has %d bytes", n)
	}
}
