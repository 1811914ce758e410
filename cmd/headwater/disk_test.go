package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDataFolderFails takes the data folder away, makes it full and read-only while a
// stream is live: who plays does not notice, the log says it once each time, and what is
// to be remembered is written as soon as it can be.
func TestDataFolderFails(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	mounted := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=256k") == nil
	if mounted {
		t.Cleanup(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) })
	}
	home := filepath.Join(data, "home")
	p := startServe(t, []string{"HEADWATER_PUBLISH_WITHOUT_SECRET_FROM=127.0.0.0/8", "HEADWATER_HLS_SEGMENT_DURATION=500ms"}, "--data", home)
	e, v := published(t, p)
	state := filepath.Join(home, "streams.json")
	written := func(t *testing.T) {
		t.Helper()
		before, _ := os.ReadFile(state)
		eventually(t, "the state written", func() bool {
			now, err := os.ReadFile(state)
			return err == nil && string(now) != string(before)
		})
	}
	written(t)
	const complaint = "stream state not written"
	for name, fault := range map[string]func() (mend func() error, err error){
		"gone": func() (func() error, error) {
			return func() error { return os.Rename(home+".away", home) }, os.Rename(home, home+".away")
		},
		"full": func() (func() error, error) {
			if !mounted {
				return nil, syscall.EPERM
			}
			filler := filepath.Join(data, "filler")
			for err := error(nil); err == nil; {
				err = appendFile(filler, make([]byte, 4096))
			}
			return func() error { return os.Remove(filler) }, nil
		},
		"read-only": func() (func() error, error) {
			if !mounted {
				return nil, syscall.EPERM
			}
			return func() error { return syscall.Mount("", data, "", syscall.MS_REMOUNT, "") }, syscall.Mount("", data, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			said := strings.Count(p.log.String(), complaint)
			mend, err := fault()
			if err != nil {
				t.Skip(err)
			}
			eventually(t, "said in the log", func() bool { return strings.Count(p.log.String(), complaint) > said })
			v.goesOn(t)
			time.Sleep(time.Second) // three more that fail
			if n := strings.Count(p.log.String(), complaint) - said; n != 1 {
				t.Errorf("said %d times", n)
			}
			if err := mend(); err != nil {
				t.Fatal(err)
			}
			written(t)
		})
	}
	v.goesOn(t)
	v.complete(t)
	e.goesOn(t)
	left, _ := filepath.Glob(state + ".*")
	if len(left) > 1 { // one may be under way
		t.Errorf("it leaves %q", left)
	}
}

func appendFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
