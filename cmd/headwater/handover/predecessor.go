package handover

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Predecessor is the process that this one takes over from. A nil one is none: its
// methods do nothing.
type Predecessor struct {
	talk *net.UnixConn
	once sync.Once
}

// Passed says whether this process was started with listeners by its parent. getenv
// is os.Getenv.
func Passed(getenv func(string) string) bool {
	parent := getenv(parentVar)
	return parent != "" && parent == strconv.Itoa(os.Getppid())
}

// Find returns the predecessor, nil if there is none.
func Find(getenv func(string) string) (*Predecessor, error) {
	if !Passed(getenv) {
		return nil, nil
	}
	fd, err := strconv.Atoi(getenv(talkVar))
	if err != nil || fd < firstPassed {
		return nil, fmt.Errorf("%s: %q is no descriptor", talkVar, getenv(talkVar))
	}
	syscall.CloseOnExec(fd)
	talk, err := connection(fd)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", talkVar, err)
	}
	return &Predecessor{talk: talk}, nil
}

// Prepared says that this process can take over, and returns when it is to: the
// predecessor has written its state and reads no more of it, or is gone.
func (p *Predecessor) Prepared() error {
	if p == nil {
		return nil
	}
	_, _ = io.WriteString(p.talk, prepared+"\n") // to who is gone there is nothing to say; see below
	line, err := bufio.NewReader(p.talk).ReadString('\n')
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return nil
	case err != nil:
		return fmt.Errorf("wait for the process before: %w", err)
	case strings.TrimSuffix(line, "\n") != proceed:
		return fmt.Errorf("the process before has said %q", line)
	}
	return nil
}

// Ready says that this process serves.
func (p *Predecessor) Ready() { p.say(ready) }

// Failed says why it never will. It says nothing once it has said Ready.
func (p *Predecessor) Failed(err error) {
	p.say(failed + strings.ReplaceAll(err.Error(), "\n", " "))
}

func (p *Predecessor) say(line string) {
	if p == nil {
		return
	}
	p.once.Do(func() {
		_, _ = io.WriteString(p.talk, line+"\n") // who is gone needs no answer
		_ = p.talk.Close()
	})
}
