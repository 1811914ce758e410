package main

import (
	"bytes"
	"io"
	"log/slog"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"headwater/cmd/headwater/config"
)

// openLog returns newLogger's for a writer that may take its time, or fail: whoever
// logs does not wait for it, and does not end with it. flush is to be called at the end.
func openLog(w io.Writer, c config.Log) (log *slog.Logger, level *slog.LevelVar, flush func()) {
	signal.Ignore(syscall.SIGPIPE) // of a reader that is gone
	q := &logQueue{lines: make(chan []byte, maxLogLines), quit: make(chan struct{}), done: make(chan struct{})}
	log, level = newLogger(q, c)
	go q.run(w, func(n uint64) { log.Warn("log lines left out: nobody took them", "count", n) })
	return log, level, q.close
}

const (
	// maxLogLines bounds the lines that wait to be written; what is beyond is left out.
	maxLogLines = 4096
	// logTime is how long the end of the process waits for them.
	logTime = time.Second
)

// logQueue is the writer of a logger. A pipe whose reader stands still, or a disk that
// hangs, would stop every publisher and viewer that has something to say.
type logQueue struct {
	lines chan []byte
	lost  atomic.Uint64 // since that was last said
	quit  chan struct{} // closed to write what waits and end
	done  chan struct{} // closed then
}

// Write implements io.Writer. It takes whole lines and never waits.
func (q *logQueue) Write(line []byte) (int, error) {
	select {
	case q.lines <- bytes.Clone(line):
	default:
		q.lost.Add(1)
	}
	return len(line), nil
}

func (q *logQueue) run(w io.Writer, tell func(lost uint64)) {
	defer close(q.done)
	for {
		select {
		case line := <-q.lines:
			_, _ = w.Write(line) // nobody to tell
			if n := q.lost.Swap(0); n > 0 {
				tell(n)
			}
		case <-q.quit:
			for len(q.lines) > 0 {
				_, _ = w.Write(<-q.lines)
			}
			return
		}
	}
}

// close writes what waits, unless that takes too long.
func (q *logQueue) close() {
	close(q.quit)
	select {
	case <-q.done:
	case <-time.After(logTime):
	}
}

// newLogger returns the process's logger and its level, which may be changed.
func newLogger(w io.Writer, c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(levelOf(c))
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

// levelOf returns the level, which has been checked with the configuration.
func levelOf(c config.Log) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return slog.LevelInfo
	}
	return level
}
