package remux

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"
)

// Object is finished bytes, ready to be served any number of times. Nothing in it
// changes, and it must not be copied.
type Object struct {
	Body     []byte
	Gzip     []byte    // Body compressed; nil where that is not worth it
	Tag      string    // unquoted entity tag of Body; Gzip has Tag + "-gzip"
	Modified time.Time // when it came to be

	inFile inFile
}

// lazy is an Object made when it is first asked for, once however many ask.
type lazy struct {
	once   sync.Once
	object *Object
	err    error
}

var errRender = errors.New("rendering failed")

func (l *lazy) get(render func() (*Object, error)) (*Object, error) {
	l.once.Do(func() {
		l.err = errRender // what later callers see if render panics
		l.object, l.err = render()
	})
	return l.object, l.err
}

// gzips are compressors, each of which has 800 KB of tables.
var gzips = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// newText returns an Object of text, compressed, with a tag of its content.
func newText(body []byte, modified time.Time) (*Object, error) {
	var packed bytes.Buffer
	w := gzips.Get().(*gzip.Writer)
	defer gzips.Put(w)
	w.Reset(&packed)
	if _, err := w.Write(body); err != nil {
		return nil, fmt.Errorf("compress playlist: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress playlist: %w", err)
	}
	sum := fnv.New64a()
	_, _ = sum.Write(body) // never fails
	return &Object{Body: body, Gzip: packed.Bytes(), Tag: fmt.Sprintf("%016x", sum.Sum64()), Modified: modified}, nil
}
