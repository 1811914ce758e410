package rtmp

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// newPipe is newPeer without a socket, for a bubble of synctest. The pipe has no
// buffer: what a test sends the server has read.
func newPipe(t *testing.T, j *journal, o Options) (p *peer, end func()) {
	t.Helper()
	client, server := net.Pipe()
	e := NewEngine()
	p = &peer{t: t, conn: client, j: j, in: NewChunkReader(client, nil)}
	p.s = e.Start(server, j, o)
	return p, func() {
		_ = client.Close()
		<-j.closed
		e.Close()
	}
}

// TestMessageThatIsNotCompleted begins a frame and goes on with sound: it is not
// silent, but what it began is held for ten seconds and no longer.
func TestMessageThatIsNotCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		p, end := newPipe(t, j, Options{})
		defer end()
		p.publishing()
		p.send("06 000001 010000 09 01000000", make([]byte, 128))
		began := time.Now()
		for i := 0; ; i++ {
			b := appendChunks(nil, 4, typeAudio, 1, uint32(i*500), []byte("audio"), defaultChunkSize)
			if _, err := p.conn.Write(b); err != nil {
				break
			}
			time.Sleep(500 * time.Millisecond)
			if time.Since(began) > time.Minute {
				t.Fatal("it stays open")
			}
		}
		if d := time.Since(began); d < 9*time.Second || d > 12*time.Second {
			t.Errorf("closed after %v", d)
		}
		if err := j.reason(t); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "not completed") {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestMessageThatIsTheLast begins a frame and nothing else comes to its end: what may
// be silent for longer may not hold what it began for longer.
func TestMessageThatIsTheLast(t *testing.T) {
	for _, pause := range []time.Duration{200 * time.Millisecond, 4 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			j := newJournal()
			p, end := newPipe(t, j, Options{Idle: time.Minute, FirstMedia: time.Minute})
			defer end()
			p.publishing()
			p.send("02 000000 000004 01 00000000 00010000", "06 000001 010000 09 01000000", make([]byte, 100))
			began := time.Now()
			var writing sync.WaitGroup
			defer writing.Wait()
			writing.Go(func() {
				for {
					time.Sleep(pause)
					if _, err := p.conn.Write([]byte{1}); err != nil {
						return
					}
				}
			})
			if err := j.reason(t); !errors.Is(err, ErrLimit) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("ended with %v", err)
			}
			if d := time.Since(began); d < 9*time.Second || d > 17*time.Second {
				t.Errorf("a byte each %v: closed after %v", pause, d)
			}
		})
	}
}

// TestSilenceBetweenMessages: who may be silent for longer than a message may take is
// not ended by that.
func TestSilenceBetweenMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		p, end := newPipe(t, j, Options{Idle: time.Minute})
		defer end()
		p.publishing()
		began := time.Now()
		for i := range 5 {
			p.message(6, typeVideo, 1, uint32(i*50_000), []byte("video"))
			time.Sleep(50 * time.Second)
		}
		if err := j.reason(t); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
		if d := time.Since(began); d < 259*time.Second || d > 263*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
}

// TestMessagesThatTakeLong completes frames of eight seconds among sound, for a
// minute: a slow line is no fault.
func TestMessagesThatTakeLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		p, end := newPipe(t, j, Options{})
		defer end()
		p.publishing()
		for frame := range 8 {
			at := uint32(frame * 8000)
			chunks := appendChunks(nil, 6, typeVideo, 1, at, make([]byte, 16*128), defaultChunkSize)
			for i := 0; len(chunks) > 0; i++ {
				n := min(len(chunks), 129)
				if i == 0 {
					n = 12 + 128
				}
				p.send(chunks[:n], appendChunks(nil, 4, typeAudio, 1, at, []byte("audio"), defaultChunkSize))
				chunks = chunks[n:]
				time.Sleep(500 * time.Millisecond)
			}
		}
		synctest.Wait()
		j.mu.Lock()
		defer j.mu.Unlock()
		if n := len(j.media); n != 8*17 || j.ended != nil {
			t.Errorf("%d messages came through, ended with %v", n, j.ended)
		}
	})
}

// TestUnknownMessagesNowAndThen sends one a minute for three hours, as an encoder
// does that means something by it.
func TestUnknownMessagesNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		p, end := newPipe(t, j, Options{})
		defer end()
		p.publishing()
		for minute := range 180 {
			p.message(3, 99, 0, 0, []byte("hello"))
			for i := range 6 {
				p.message(4, typeAudio, 1, uint32(minute*60000+i*10000), []byte("audio"))
				time.Sleep(10 * time.Second)
			}
		}
		synctest.Wait()
		j.mu.Lock()
		defer j.mu.Unlock()
		if n := len(j.media); n != 180*6 || j.ended != nil {
			t.Errorf("%d messages came through, ended with %v", n, j.ended)
		}
	})
}

// wholeSession is all that an encoder sends from the first byte to the last, and the
// offsets at which messages begin.
func wholeSession() (b []byte, messages []int) {
	add := func(part []byte) {
		messages = append(messages, len(b))
		b = append(b, part...)
	}
	command := func(stream uint32, values ...any) {
		add(appendChunks(nil, 3, typeCommand, stream, 0, AppendAMF(nil, values...), defaultChunkSize))
	}
	add(append([]byte{3}, clientHello(0)...))
	add(make([]byte, handshakeSize))
	command(0, "connect", 1, Object{{"app", "live"}, {"flashVer", "test"}, {"tcUrl", "rtmp://127.0.0.1/live"}})
	command(0, "releaseStream", 2, nil, "x")
	command(0, "FCPublish", 3, nil, "x")
	command(0, "createStream", 4, nil)
	command(1, "publish", 5, nil, "x", "live")
	add(appendChunks(nil, 5, typeData, 1, 0, AppendAMF(nil, "@setDataFrame", "onMetaData", Object{{"width", 640}}), defaultChunkSize))
	for i := range 4 {
		add(appendChunks(nil, 6, typeVideo, 1, uint32(i*40), make([]byte, 700), defaultChunkSize))
		add(appendChunks(nil, 4, typeAudio, 1, uint32(i*40), make([]byte, 100), defaultChunkSize))
	}
	command(0, "FCUnpublish", 6, nil, "x")
	command(0, "deleteStream", 7, nil, 1)
	return b, append(messages, len(b))
}

// TestCutEverywhere breaks a good session at each beginning of a message, and at
// every 61st byte, by RST and by FIN. Whatever the point, the session ends at once,
// for the reason that the peer gave, and what it had begun has ended before.
func TestCutEverywhere(t *testing.T) {
	b, cuts := wholeSession()
	for at := 1; at < len(b); at += 61 {
		cuts = append(cuts, at, at+1)
	}
	e := NewEngine()
	defer e.Close()
	for _, reset := range []bool{true, false} {
		for _, at := range cuts {
			at = min(at, len(b))
			j := newJournal()
			p := newPeerOf(t, e, j, Options{})
			p.send(b[:at])
			if reset {
				_ = p.conn.(*net.TCPConn).SetLinger(0)
			} else {
				// All of it counts, and what it makes the server say can be sent.
				_ = p.conn.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, p.conn)
			}
			_ = p.conn.Close()
			began := time.Now()
			err := j.reason(t)
			if err == nil || errors.Is(err, ErrProtocol) || errors.Is(err, ErrLimit) {
				t.Errorf("cut at %d of %d, reset %v: ended with %v", at, len(b), reset, err)
			}
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("cut at %d, reset %v: took %v", at, reset, d)
			}
			var published, unpublished int
			for _, s := range j.history() {
				switch {
				case strings.HasPrefix(s, "publish "):
					published++
				case strings.HasPrefix(s, "unpublish "):
					unpublished++
				}
			}
			if published != unpublished || published > 1 || at == len(b) && !reset && published != 1 {
				t.Errorf("cut at %d, reset %v: %q", at, reset, j.history())
			}
		}
	}
}
