package doctor

import (
	"fmt"

	"headwater/origin/checkup"
)

const (
	fewWaiting  = 1024    // connections that nobody has accepted yet
	smallBuffer = 2 << 20 // bytes; a viewer far away with a fast line needs as much on its way
	fewPorts    = 10000   // for connections that this machine opens itself
)

// network looks at the kernel's settings that matter to an origin.
func (e *exam) network() {
	well := true
	low := func(name string, s checkup.Severity, text, value string) {
		well = false
		e.say("sysctl."+name, s, text, fmt.Sprintf("sysctl -w %s=%q, and the same line in /etc/sysctl.d/headwater.conf.", name, value))
	}
	if n := e.numbers("proc/sys/net/core/somaxconn"); len(n) == 1 && n[0] < fewWaiting {
		low("net.core.somaxconn", checkup.Warning, fmt.Sprintf("At most %d connections may wait to be accepted: when many viewers come at once some are refused.", n[0]), "4096")
	}
	if n := e.numbers("proc/sys/net/ipv4/tcp_wmem"); len(n) == 3 && n[2] < smallBuffer {
		low("net.ipv4.tcp_wmem", checkup.Warning, fmt.Sprintf("Connections send from buffers of %s at most: viewers far away get less than their line carries.", size(n[2])), "4096 16384 4194304")
	}
	if n := e.numbers("proc/sys/net/ipv4/tcp_rmem"); len(n) == 3 && n[2] < smallBuffer {
		low("net.ipv4.tcp_rmem", checkup.Warning, fmt.Sprintf("Connections receive into buffers of %s at most: publishers far away get less through than their line carries.", size(n[2])), "4096 131072 6291456")
	}
	relays := len(e.cfg.Relay.Push) + len(e.cfg.Relay.Pull)
	if n := e.numbers("proc/sys/net/ipv4/ip_local_port_range"); relays > 0 && len(n) == 2 && n[1]-n[0] < fewPorts {
		low("net.ipv4.ip_local_port_range", checkup.Warning, fmt.Sprintf("Relays have %d ports to connect from.", n[1]-n[0]+1), "32768 60999")
	}
	if n := e.numbers("proc/sys/net/ipv4/tcp_slow_start_after_idle"); len(n) == 1 && n[0] == 1 {
		e.say("sysctl.net.ipv4.tcp_slow_start_after_idle", checkup.Info, "Connections begin slowly again after each pause, and HLS is made of pauses.", "sysctl -w net.ipv4.tcp_slow_start_after_idle=0")
	}
	used, limit := e.numbers("proc/sys/net/netfilter/nf_conntrack_count"), e.numbers("proc/sys/net/netfilter/nf_conntrack_max")
	if len(used) == 1 && len(limit) == 1 && used[0] > limit[0]*8/10 {
		low("net.netfilter.nf_conntrack_max", checkup.Problem, fmt.Sprintf("The firewall remembers %d connections of %d that it can: soon it drops new ones.", used[0], limit[0]), fmt.Sprint(limit[0]*4))
	}
	if well {
		e.say("sysctl.good", checkup.OK, "The kernel's network settings will do.", "")
	}
}
