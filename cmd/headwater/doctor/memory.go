package doctor

import (
	"fmt"
	"math"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"headwater/origin/checkup"
)

const (
	littleMemory = 256 << 20 // bytes: a few streams
	muchOf       = 0.9       // of what there is
)

func (e *exam) memory() {
	info := e.meminfo()
	there, where := info["MemTotal"], "the machine"
	if there == 0 {
		there = math.MaxInt64
	}
	if n := e.cgroup("memory.max", "memory/memory.limit_in_bytes"); n < there {
		there, where = n, "the container or unit"
	}
	limit := int64(e.cfg.Limits.Memory)
	switch {
	case there == math.MaxInt64:
		e.say("memory.unknown", checkup.Info, "How much memory there is cannot be told from here.", "Set limits.memory.")
	case limit > there:
		e.say("memory.limit", checkup.Problem, fmt.Sprintf("limits.memory is %s, and %s has %s: the server would be killed before it refuses anybody.", size(limit), where, size(there)), fmt.Sprintf("limits.memory: %dMiB, or 0 for three quarters of what there is.", there*3/4>>20))
	case float64(limit) > muchOf*float64(there):
		e.say("memory.limit", checkup.Warning, fmt.Sprintf("limits.memory is %s of the %s that %s has: too little is left for anything else.", size(limit), size(there), where), fmt.Sprintf("limits.memory: %dMiB, or 0 for three quarters of what there is.", there*3/4>>20))
	case there < littleMemory:
		e.say("memory.little", checkup.Warning, fmt.Sprintf("%s has %s of memory: enough for a few streams.", where, size(there)), "Shorten hls.window and stream.max_bytes, or give it more.")
	default:
		if limit == 0 {
			limit = there / 4 * 3
		}
		e.say("memory.enough", checkup.OK, fmt.Sprintf("%s has %s of memory; the server keeps to %s, unless GOMEMLIMIT says otherwise.", strings.ToUpper(where[:1])+where[1:], size(there), size(limit)), "")
	}
	if used := info["SwapTotal"] - info["SwapFree"]; used > 64<<20 {
		e.say("memory.swap", checkup.Warning, fmt.Sprintf("%s of memory are swapped out: streams stall when theirs comes back from disk.", size(used)), "Find who needs it (ps aux --sort=-rss | head), then swapoff -a && swapon -a; sysctl -w vm.swappiness=1")
	}
	if strings.Contains(e.read("sys/kernel/mm/transparent_hugepage/enabled"), "[always]") {
		e.say("memory.huge_pages", checkup.Info, "Transparent huge pages are always on: the process takes somewhat more memory than it uses.", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, where memory is short.")
	}
}

// meminfo returns the lines of /proc/meminfo in bytes.
func (e *exam) meminfo() map[string]int64 {
	all := map[string]int64{}
	for line := range strings.Lines(e.read("proc/meminfo")) {
		f := strings.Fields(line)
		if len(f) == 3 && f[2] == "kB" {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil && n >= 0 && n < 1<<52 {
				all[strings.TrimSuffix(f[0], ":")] = n << 10
			}
		}
	}
	return all
}

// cgroup returns the lowest limit of that name from the process's own group up to the
// root; math.MaxInt64 where there is none. old is where version 1 has it.
func (e *exam) cgroup(name, old string) int64 {
	least := int64(math.MaxInt64)
	for _, file := range append(e.cgroupFiles(name), "sys/fs/cgroup/"+old) {
		if n := e.numbers(file); len(n) == 1 && n[0] > 0 {
			least = min(least, n[0])
		}
	}
	return least
}

// cgroupFiles returns where a file of that name is looked for, version 2.
func (e *exam) cgroupFiles(name string) []string {
	files := []string{filepath.Join("sys/fs/cgroup", name)} // all that a container sees
	for line := range strings.Lines(e.read("proc/self/cgroup")) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		if !ok {
			continue
		}
		for group = path.Clean("/" + group); group != "/"; group = path.Dir(group) {
			files = append(files, filepath.Join("sys/fs/cgroup", group, name))
		}
	}
	return files
}

// processors compares what Go runs on with what the container or unit may use.
func (e *exam) processors() {
	quota := math.Inf(1)
	for _, file := range e.cgroupFiles("cpu.max") {
		if f := strings.Fields(e.read(file)); len(f) == 2 {
			quota = min(quota, ratio(f[0], f[1]))
		}
	}
	if q, p := e.read("sys/fs/cgroup/cpu/cpu.cfs_quota_us"), e.read("sys/fs/cgroup/cpu/cpu.cfs_period_us"); q != "" && q != "-1" {
		quota = min(quota, ratio(q, p))
	}
	switch {
	case quota < 1:
		e.say("cpu.quota", checkup.Warning, fmt.Sprintf("The container or unit may use %.2f of one processor: it is halted many times a second, and streams with it.", quota), "CPUQuota= in the systemd unit, cpus: for compose, limits.cpu for Kubernetes: at least 1, or better none.")
	case float64(e.Processors) > math.Ceil(quota):
		e.say("cpu.gomaxprocs", checkup.Warning, fmt.Sprintf("Go runs on %d processors and may use %.1f: it is halted when it has used them up.", e.Processors, quota), fmt.Sprintf("Unset GOMAXPROCS, or set it to %d.", int(math.Ceil(quota))))
	default:
		e.say("cpu.enough", checkup.OK, fmt.Sprintf("Go runs on %d processors.", e.Processors), "")
	}
}

// ratio returns quota to period; infinity for no quota ("max").
func ratio(quota, period string) float64 {
	q, err := strconv.ParseFloat(quota, 64)
	p, also := strconv.ParseFloat(period, 64)
	if err != nil || also != nil || q <= 0 || p <= 0 {
		return math.Inf(1)
	}
	return q / p
}
