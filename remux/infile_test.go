package remux

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"testing"
	"time"
)

func TestObjectFile(t *testing.T) {
	LimitFiles(2)
	defer LimitFiles(0)
	body := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	made := func() (*Object, *os.File) {
		o := &Object{Body: body}
		for i := range wantedOften - 1 {
			if o.File() != nil {
				t.Errorf("a file at call %d", i+1)
			}
		}
		return o, o.File()
	}
	o, f := made()
	if f == nil {
		t.Fatal("no file")
	}
	if o.File() != f {
		t.Error("another file at the next call")
	}
	if got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30)); err != nil || !bytes.Equal(got, body) {
		t.Errorf("the file holds %d bytes of %d, %v", len(got), len(body), err)
	}
	second, _ := made()
	if third, file := made(); file != nil || third.File() != nil {
		t.Error("a file more than the limit")
	}
	small := &Object{Body: body[:worthFile-1]}
	for range wantedOften {
		if small.File() != nil {
			t.Error("a file of a short body")
		}
	}
	runtime.KeepAlive([]any{o, f, second}) // from here on they are not used
	for range 100 {                        // the files go with their objects
		if openFiles.Load() == 0 {
			return
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d files are still open", openFiles.Load())
}
