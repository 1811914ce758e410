package rate

import (
	"net/netip"
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	a, b := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	r := Limit{PerSecond: 20}
	start := time.Now()
	allowed := func(key netip.Prefix, tries int, over time.Duration, from time.Time) (n int) {
		for i := range tries {
			if r.Allow(key, from.Add(time.Duration(i)*over/time.Duration(tries))) {
				n++
			}
		}
		return n
	}
	if n := allowed(a, 1000, 0, start); n != 50 {
		t.Errorf("%d at once, want the burst of 50", n)
	}
	if n := allowed(b, 10, 0, start); n != 10 {
		t.Errorf("another address gets %d of 10", n)
	}
	if n := allowed(a, 1000, 10*time.Second, start); n < 195 || n > 201 {
		t.Errorf("%d in ten seconds, want 200", n)
	}
	later := start.Add(time.Minute)
	if r.Allow(b, later); len(r.taken) != 1 {
		t.Errorf("%d addresses are remembered", len(r.taken))
	}
	if n := allowed(a, 100, 0, later); n != 50 {
		t.Errorf("%d after a pause, want the burst again", n)
	}
	none := Limit{}
	for range 1000 {
		if !none.Allow(a, start) || none.taken != nil {
			t.Fatal("no rate is a limit")
		}
	}
	slow := Limit{PerSecond: 0.1}
	if !slow.Allow(a, start) || slow.Allow(a, start) || !slow.Allow(a, start.Add(11*time.Second)) {
		t.Error("one in ten seconds")
	}
}
