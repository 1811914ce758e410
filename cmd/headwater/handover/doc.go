// Package handover starts another process of the same command and gives it the
// listeners of this one, so that an upgrade refuses no connection: those that come
// while one takes over from the other wait in the listeners' queues.
//
// The two talk over a pair of sockets, in lines:
//
//	successor            predecessor
//	                     starts the other, with its listeners
//	reads configuration,
//	certificates, keys
//	prepared ──────────►
//	                     accepts nothing more, ends publishers, writes its state
//	         ◄────────── go
//	reads the state,
//	serves
//	ready ─────────────►
//	                     ends as on SIGTERM, once its answers are given
//
// Up to "go" whatever goes wrong leaves the predecessor as it was: the successor says
// "failed" and why, or ends, or takes too long. A predecessor that dies is a "go".
//
// Listeners are passed as service managers do it (sd_listen_fds(3)): LISTEN_FDS and
// LISTEN_FDNAMES, from descriptor 3 on. LISTEN_PID cannot be known before the process
// is there; LISTEN_PPID, the predecessor's, is in its place. HANDOVER_FD is the
// descriptor of the conversation.
package handover

// The words of the conversation.
const (
	prepared = "prepared"
	proceed  = "go"
	ready    = "ready"
	failed   = "failed "
)

// The environment.
const (
	parentVar  = "LISTEN_PPID"
	countVar   = "LISTEN_FDS"
	namesVar   = "LISTEN_FDNAMES"
	talkVar    = "HANDOVER_FD"
	managerVar = "LISTEN_PID"
)

// firstPassed is SD_LISTEN_FDS_START.
const firstPassed = 3
