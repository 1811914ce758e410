package ingest

import (
	"testing"
	"time"

	"headwater/remux"
)

// TestPublishersAndPlayers: who is there is told while they are, and a player can be
// made to go.
func TestPublishersAndPlayers(t *testing.T) {
	h := playHarness(t, func(c *Config) {
		c.Authorize = nil
	})
	if n, m := len(h.Publishers()), len(h.Players()); n+m != 0 {
		t.Fatalf("%d publishers and %d players of nothing", n, m)
	}
	b := h.broadcast(t, "x", 0)
	e := h.player(t, "x")
	e.frame()
	all := h.Players()
	for end := time.Now().Add(5 * time.Second); len(all) == 1 && all[0].Frames == 0 && time.Now().Before(end); all = h.Players() {
		time.Sleep(time.Millisecond) // what has been sent is counted behind it
	}
	if len(all) != 1 {
		t.Fatalf("players: %+v", all)
	}
	p := all[0]
	if p.Name != (remux.Name{App: "live", Stream: "x"}) || p.Remote.String() != e.conn.LocalAddr().String() || p.Player != "player 1" ||
		p.TLS || p.Frames == 0 || p.Bytes == 0 || time.Since(p.Since) > time.Minute {
		t.Errorf("player %+v", p)
	}
	if h.KickPlayer(p.Session + 1000) {
		t.Error("nobody was kicked")
	}
	if !h.KickPlayer(p.Session) {
		t.Error("not kicked")
	}
	e.closed()
	h.idle(t)
	if st := h.Stats(); st.Ended[Kicked] != 1 || len(h.Players()) != 0 {
		t.Errorf("%+v", st)
	}
	b.stop()
}

func TestPublishers(t *testing.T) {
	h := newHarness(t, nil)
	e := h.dial(t)
	if code, text := e.ask("live", "rtmp://host/live", "y"); code != "NetStream.Publish.Start" {
		t.Fatalf("%s: %s", code, text)
	}
	h.stream(t)
	all := h.Publishers()
	if len(all) != 1 || all[0].Name.String() != "live/y" || all[0].Remote.String() != e.conn.LocalAddr().String() || all[0].Session == 0 {
		t.Errorf("publishers: %+v", all)
	}
	if h.KickPlayer(all[0].Session) {
		t.Error("a publisher is no player")
	}
	_ = e.conn.Close()
	h.idle(t)
	if all := h.Publishers(); len(all) != 0 {
		t.Errorf("still there: %+v", all)
	}
}
