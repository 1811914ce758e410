package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"headwater/ingest/rtmp"
	"headwater/remux"
	"headwater/remux/av"
	"headwater/remux/flv"
)

// TestPlaylistStands: an encoder whose timestamps stand is told to come back, once its
// playlist has stood for long, and counted; one beside it does not notice.
func TestPlaylistStands(t *testing.T) {
	t.Parallel()
	p := openServe(t, "HEADWATER_HLS_SEGMENT_DURATION=1s", "HEADWATER_HLS_MAX_SEGMENT_DURATION=3s")
	e, v := published(t, p)
	conn, err := net.Dial("tcp", p.addrs["rtmp"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	c := rtmp.NewClient(conn, rtmp.Target{App: "live", TcURL: "rtmp://" + p.addrs["rtmp"] + "/live", Name: "stands"}, rtmp.ClientOptions{})
	to, err := c.Publish()
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1)
	go func() {
		_, err := c.Next()
		told <- err
	}()
	frame := keyFrame(t)
	start, begun := time.Now(), false
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for err = nil; err == nil && time.Since(start) < time.Minute; {
		select {
		case err = <-told:
			if err == nil {
				err = io.EOF
			}
		case <-tick.C:
			next := *frame
			next.DTS = min(time.Since(start), 3*time.Second)
			p := to.Format().Packer(func() []byte { return nil })
			var chunks net.Buffers
			if !begun {
				chunks, begun = append(chunks, p.Headers(nil, next.Config, next.DTS)), true
			}
			media, err := p.Append(nil, []av.Frame{next}, true)
			if err != nil {
				t.Fatal(err)
			}
			_ = to.Send(append(chunks, media)) // told says why it fails
		}
	}
	if status, ok := errors.AsType[*rtmp.Status](err); !ok || status.Code != rtmp.ConnectClosed || !strings.Contains(status.Description, "stands still") {
		t.Errorf("it is told %v", err)
	}
	if d := time.Since(start); d < 10*time.Second || d > 30*time.Second {
		t.Errorf("it is told after %s", d)
	}
	eventually(t, "counted", func() bool { return p.metric(t, `headwater_rtmp_sessions_ended_total{reason="standstill"}`) == 1 })
	if log := p.log.String(); strings.Count(log, `"publisher removed"`) != 1 || !strings.Contains(log, `"reason":"standstill"`) {
		t.Errorf("the log does not say why, once:\n%s", log)
	}
	v.goesOn(t)
	e.goesOn(t)
}

// keyFrame is one picture as a publisher's stream has it.
func keyFrame(t *testing.T) *av.Frame {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	source, err := remux.NewRegistry(remux.DefaultOptions(), nil).Publish(remux.Name{App: "live", Stream: "source"}, remux.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		sendPictures(ctx, source, 1000)
	}()
	defer func() { cancel(); <-done }()
	cursor := source.Stream().NewCursor()
	var room [1]av.Frame
	eventually(t, "a picture", func() bool { return len(cursor.Take(room[:]).Frames) == 1 })
	if f := room[0]; f.Kind != av.Video || !f.Key || len(flv.Body(f.Tag)) != 1000 {
		t.Fatalf("it is %+v", f)
	}
	return &room[0]
}
