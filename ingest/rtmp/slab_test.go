package rtmp

import (
	"bytes"
	"runtime"
	"testing"

	"headwater/remux/flv"
)

// TestSlab allocates the tags of streams of several kinds. Tags never overlap, most
// of them share few blocks, and little is lost.
func TestSlab(t *testing.T) {
	for _, c := range []struct {
		name   string
		bodies []int // that come round and round
		blocks int   // at most, of 2400 tags
	}{
		{"2 Mbit/s", []int{9000, 370, 380, 5000, 370, 12_000, 375, 380}, 200},
		{"sound", []int{370, 385, 350, 390}, 140},
		{"pictures alone", []int{9000, 4000, 14_000, 60_000, 7000}, 800},
		{"large and small", []int{200_000, 300, 300, 300}, 800},
		{"empty", []int{0}, 150},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s slab
			tags := make([][]byte, 2400)
			asked := 0
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for i := range tags {
				tags[i] = s.tag(c.bodies[i%len(c.bodies)])
				asked += len(tags[i])
			}
			runtime.ReadMemStats(&after)
			for i, tag := range tags {
				if want := flv.HeaderSize + c.bodies[i%len(c.bodies)] + flv.TrailerSize; len(tag) != want {
					t.Fatalf("tag %d has %d bytes, want %d", i, len(tag), want)
				}
				if head, tail := tag[:flv.HeaderSize], tag[len(tag)-flv.TrailerSize:]; len(bytes.Trim(head, "\x00"))+len(bytes.Trim(tail, "\x00")) > 0 {
					t.Fatalf("tag %d has something in it: %x, %x", i, head, tail)
				}
			}
			for i, tag := range tags {
				copy(tag, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, len(tag)))
			}
			for i, tag := range tags {
				if !bytes.Equal(tag, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, len(tag))[:len(tag)]) {
					t.Fatalf("tag %d is that of another, too", i)
				}
			}
			blocks, lost := int(after.Mallocs-before.Mallocs), int(after.TotalAlloc-before.TotalAlloc)-asked
			t.Logf("%d blocks for %d tags, %.1f%% lost", blocks, len(tags), 100*float64(lost)/float64(asked))
			if blocks > c.blocks || lost > asked/10+pageSize {
				t.Errorf("%d blocks for %d bytes in %d tags, and %d bytes lost", blocks, asked, len(tags), lost)
			}
		})
	}
}

// TestSlabSize bounds a block by what comes, so that a frame that is held longer
// than others holds little.
func TestSlabSize(t *testing.T) {
	for _, n := range []int{10, 400, 10_000, 60_000, 8 << 20} {
		var s slab
		for range 200 {
			s.tag(n)
		}
		if most := min(slabTags*(n+flv.HeaderSize+flv.TrailerSize), maxSlab) + pageSize; s.size > most {
			t.Errorf("tags of %d bytes share blocks of %d, want %d at most", n, s.size, most)
		}
	}
}
