package id3

import "headwater/remux/amf"

// Bounds of what is read; no cue point comes near them. What is read is never
// longer than MaxSize.
const (
	maxDepth  = 8
	maxValues = 512
)

const amfString = 0x02 // marker of a string (AMF 0, 2.1)

// frames adds a frame for each value to a tag. It is an amf.Visitor.
type frames struct {
	path []byte // to the value that is read
	ends []int  // of the paths to the containers that are open
	tag  tag
}

// Begin implements amf.Visitor.
func (f *frames) Begin(name []byte, _ bool) {
	f.ends = append(f.ends, len(f.path))
	f.enter(name)
}

// End implements amf.Visitor.
func (f *frames) End(bool) {
	last := len(f.ends) - 1
	f.path, f.ends = f.path[:f.ends[last]], f.ends[:last]
}

// enter extends the path by the name of a member.
func (f *frames) enter(name []byte) {
	if name != nil {
		f.path = append(append(f.path, '.'), name...)
	}
}

// Scalar implements amf.Visitor.
func (f *frames) Scalar(name []byte, s amf.Scalar) error {
	if s.Type == amf.Null {
		return nil
	}
	whole := len(f.path)
	f.enter(name)
	err := f.tag.add(f.path, s.Text)
	f.path = f.path[:whole]
	return err
}
