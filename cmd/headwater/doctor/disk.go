package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"headwater/origin/checkup"
)

const (
	littleSpace  = 100 << 20 // bytes
	noSpace      = 4 << 20
	fewInodes    = 1000
	noInodes     = 10
	slowSync     = 500 * time.Millisecond
	worldVisible = 0o004
)

// data looks at the folder of what outlives a restart.
func (e *exam) data() {
	dir := e.cfg.Data
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.missing(dir)
		return
	case err != nil:
		e.say("data.unusable", checkup.Problem, fmt.Sprintf("The data folder cannot be looked at: %v.", err), e.own(dir))
		return
	case !info.IsDir():
		e.say("data.unusable", checkup.Problem, fmt.Sprintf("data: %s is no folder.", dir), "Name a folder as data, or with --data.")
		return
	}
	if took, err := tryWrite(dir); err != nil {
		e.say("data.unwritable", checkup.Problem, fmt.Sprintf("Nothing can be kept in the data folder: %v.", err), e.own(dir))
	} else if took > slowSync {
		e.say("data.slow", checkup.Warning, fmt.Sprintf("A small file took %d ms to reach the disk of %s.", took.Milliseconds(), dir), "Something else keeps the disk busy; iostat -x 1 shows how much. Put data on a disk of its own.")
	} else {
		e.say("data.writable", checkup.OK, fmt.Sprintf("The data folder %s can be written to.", dir), "")
	}
	e.space(dir)
	if key, err := os.Stat(filepath.Join(dir, e.KeyFile)); err == nil && key.Mode().Perm()&worldVisible != 0 {
		e.say("data.key_visible", checkup.Problem, "Every user of this machine can read the publish key.", fmt.Sprintf("chmod 600 %s", filepath.Join(dir, e.KeyFile)))
	}
}

func (e *exam) own(dir string) string {
	return fmt.Sprintf("install -d -o %d -g %d -m 700 %s, as root; in a container mount a volume there.", os.Getuid(), os.Getgid(), dir)
}

// missing looks at where the folder would be made.
func (e *exam) missing(dir string) {
	parent := filepath.Dir(filepath.Clean(dir))
	for {
		if _, err := os.Stat(parent); err == nil || parent == filepath.Dir(parent) {
			break
		}
		parent = filepath.Dir(parent)
	}
	if err := unix.Access(parent, unix.W_OK); err != nil {
		e.say("data.unwritable", checkup.Problem, fmt.Sprintf("The data folder %s is not there and cannot be made in %s: %v.", dir, parent, err), e.own(dir))
		return
	}
	e.say("data.missing", checkup.OK, fmt.Sprintf("The data folder %s will be made when it is needed.", dir), "")
	e.space(parent)
}

// tryWrite writes a file as the server would, and returns how long that took.
func tryWrite(dir string) (took time.Duration, err error) {
	began := time.Now()
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.WriteString("headwater doctor\n")
	err = errors.Join(err, f.Sync(), f.Close())
	return time.Since(began), err
}

func (e *exam) space(dir string) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		e.say("data.space", checkup.Warning, fmt.Sprintf("The free space of %s is not known: %v.", dir, err), "")
		return
	}
	free := s.Bavail * uint64(max(s.Bsize, 1))
	switch {
	case free < noSpace:
		e.say("data.space", checkup.Problem, fmt.Sprintf("The disk of %s is full.", dir), "Make room: du -xh --max-depth=2 / | sort -h | tail")
	case free < littleSpace:
		e.say("data.space", checkup.Warning, fmt.Sprintf("The disk of %s has %s left.", dir, size(int64(free))), "Make room: du -xh --max-depth=2 / | sort -h | tail")
	}
	if s.Files == 0 {
		return // a file system that makes them as it needs them
	}
	switch {
	case s.Ffree < noInodes:
		e.say("data.inodes", checkup.Problem, fmt.Sprintf("The disk of %s has no inodes left: no file can be made.", dir), "Remove small files: du --inodes -x --max-depth=2 / | sort -n | tail")
	case s.Ffree < fewInodes:
		e.say("data.inodes", checkup.Warning, fmt.Sprintf("The disk of %s has %d inodes left.", dir, s.Ffree), "Remove small files: du --inodes -x --max-depth=2 / | sort -n | tail")
	}
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
