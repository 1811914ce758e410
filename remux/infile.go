package remux

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// worthFile is from what size on the kernel sends pages of a file cheaper than
	// it copies bytes.
	worthFile = 32 << 10
	// wantedOften is how often a body is sent as bytes before it is put into a file:
	// that costs one more copy, and most objects are fetched by an edge or two.
	wantedOften = 3
)

// openFiles counts the files of all objects, and maxFiles bounds them.
var openFiles, maxFiles atomic.Int64

// LimitFiles sets how many descriptors Object.File may hold in all; before, it is none.
func LimitFiles(n int) { maxFiles.Store(int64(n)) }

// inFile is a body as a file.
type inFile struct {
	asked atomic.Int32
	file  atomic.Pointer[os.File]
}

// File returns a file in memory that holds Body, for sendfile(2), or nil where sending
// the bytes is as good: while few have asked, where it is short, or where there are as
// many as LimitFiles allows. The file is the object's and is closed some time after it.
func (o *Object) File() *os.File {
	if len(o.Body) < worthFile {
		return nil
	}
	if f := o.inFile.file.Load(); f != nil {
		return f
	}
	if o.inFile.asked.Add(1) == wantedOften {
		if openFiles.Add(1) > maxFiles.Load() {
			openFiles.Add(-1)
			return nil
		}
		o.inFile.file.Store(newFile(o.Body))
	}
	return o.inFile.file.Load()
}

// newFile returns nil where the system does not give one.
func newFile(body []byte) *os.File {
	fd, err := unix.MemfdCreate("object", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("object", unix.MFD_CLOEXEC)
	}
	if err != nil {
		openFiles.Add(-1)
		return nil
	}
	f := os.NewFile(uintptr(fd), "object")
	runtime.AddCleanup(f, func(n *atomic.Int64) { n.Add(-1) }, &openFiles)
	if _, err := f.WriteAt(body, 0); err != nil {
		_ = f.Close()
		return nil
	}
	return f
}
