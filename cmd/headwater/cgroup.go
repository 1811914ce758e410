package main

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// available is the memory that this process may have: of its own control group, of
// those around it (a systemd unit's MemoryMax=, a container's limit), or of the machine,
// whichever is least; 0 if nobody says. root is the file system.
func available(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	for _, file := range memoryFiles(root) {
		b, err := fs.ReadFile(root, file)
		if err != nil { // a container sees its own group as the root
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 { // else it says max
			least = min(least, n)
		}
	}
	b, _ := fs.ReadFile(root, "proc/meminfo") // without it there is no such number
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "MemTotal:" {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil && n > 0 && n < math.MaxInt64>>10 {
				least = min(least, n<<10)
			}
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// memoryFiles returns where limits stand: of the process's group, and of each above it
// up to the root, in version 2 of control groups and in version 1 (cgroups(7)).
func memoryFiles(root fs.FS) []string {
	const v2, v1 = "sys/fs/cgroup/", "sys/fs/cgroup/memory/"
	files := []string{v2 + "memory.max", v1 + "memory.limit_in_bytes"}
	b, _ := fs.ReadFile(root, "proc/self/cgroup") // a machine without groups has none
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		var folder, name string
		switch f[1] {
		case "":
			folder, name = v2, "memory.max"
		case "memory":
			folder, name = v1, "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Clean("/" + f[2]); group != "/"; group = path.Dir(group) {
			files = append(files, path.Join(folder, group, name))
		}
	}
	return files
}
