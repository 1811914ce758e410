package rtmp

// maxAge is how many calls of overdue a message has to be completed in.
const maxAge = 10

// overdue is called once a second. It reports whether a message has been under way
// for ten seconds while others came through. What is counted is calls, not time: a
// process that stood still for a while holds it against nobody.
func (c *ChunkReader) overdue() bool {
	for _, s := range c.streams {
		if !s.open {
			continue
		}
		if s.age++; s.age > maxAge {
			return true
		}
	}
	return false
}
