package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"headwater/origin/checkup"
)

const (
	firstYear  = 2025 // this program is younger
	lastYear   = 2100
	clockError = time.Second
)

// clock matters for tokens, certificates, EXT-X-PROGRAM-DATE-TIME, and for twins,
// which have to agree. Nobody else is asked what time it is.
func (e *exam) clock() {
	const sync = "timedatectl set-ntp true; or apt install chrony. In a container the host's clock counts."
	if y := e.Now.Year(); y < firstYear || y > lastYear {
		e.say("clock.wrong", checkup.Problem, fmt.Sprintf("The clock says %s.", e.Now.UTC().Format(time.DateTime)), sync)
		return
	}
	if _, err := os.Stat(filepath.Join(e.root(), "run/systemd/timesync/synchronized")); err == nil {
		e.say("clock.synchronized", checkup.OK, "The clock is kept by systemd-timesyncd.", "")
		return
	}
	switch synchronized, off, known := e.Clock(); {
	case !known:
		e.say("clock.unknown", checkup.Info, "Whether the clock is kept by NTP cannot be told from here.", "timedatectl, or chronyc tracking, on the host says it.")
	case !synchronized:
		e.say("clock.free", checkup.Warning, "Nobody keeps the clock: it drifts, and tokens, latency and twins depend on it.", sync)
	case off > clockError:
		e.say("clock.off", checkup.Warning, fmt.Sprintf("The clock may be off by %.1f s.", off.Seconds()), sync)
	default:
		e.say("clock.synchronized", checkup.OK, "The clock is kept by NTP.", "")
	}
}

// KernelClock asks the kernel about its clock (adjtimex): whether somebody keeps it,
// and how far off it may be.
func KernelClock() (synchronized bool, off time.Duration, known bool) {
	const (
		unsynchronized = 0x40 // STA_UNSYNC
		timeError      = 5    // TIME_ERROR
	)
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, 0, false
	}
	return state != timeError && t.Status&unsynchronized == 0, time.Duration(t.Maxerror) * time.Microsecond, true
}
