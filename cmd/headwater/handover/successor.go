package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Listener is one to hand over, under the name that the successor knows it by.
type Listener struct {
	Name string
	*net.TCPListener
}

// Successor is the process that is to take over.
type Successor struct {
	PID int

	process *os.Process
	talk    *net.UnixConn
	lines   *bufio.Reader
}

// Program returns the absolute path of the running command as it was called, so that
// a symbolic link leads to what it names by then. Call it at the start, while the
// working directory is that of the caller.
func Program() (string, error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return "", fmt.Errorf("find own program: %w", err)
	}
	return filepath.Abs(path)
}

// Start starts program with the arguments and the environment of this process, and
// with listeners, which stay open here too.
func Start(program string, listeners []Listener) (*Successor, error) {
	talk, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = syscall.Close(theirs) }()
	files := []uintptr{0, 1, 2}
	names := make([]string, 0, len(listeners))
	for _, l := range listeners {
		fd, err := descriptor(l)
		if err != nil {
			_ = talk.Close()
			return nil, fmt.Errorf("hand over listener %q: %w", l.Name, err)
		}
		files, names = append(files, fd), append(names, l.Name)
	}
	env := append(environ(),
		parentVar+"="+strconv.Itoa(os.Getpid()),
		countVar+"="+strconv.Itoa(len(listeners)),
		namesVar+"="+strings.Join(names, ":"),
		talkVar+"="+strconv.Itoa(len(files)))
	// Not os/exec: it turns descriptors blocking, and with them, which share their
	// state, the listeners of this process.
	pid, _, err := syscall.StartProcess(program, os.Args, &syscall.ProcAttr{Env: env, Files: append(files, uintptr(theirs))})
	runtime.KeepAlive(listeners)
	if err != nil {
		_ = talk.Close()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		_ = talk.Close()
		return nil, fmt.Errorf("find process %d: %w", pid, err)
	}
	return &Successor{PID: pid, process: process, talk: talk, lines: bufio.NewReader(talk)}, nil
}

// pair returns both ends of a conversation: one to use, one to pass on.
func pair() (ours *net.UnixConn, theirs int, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("make socket pair: %w", err)
	}
	ours, err = connection(fds[0])
	if err != nil {
		_ = syscall.Close(fds[1])
		return nil, 0, err
	}
	return ours, fds[1], nil
}

// connection makes one of a descriptor, and closes the descriptor.
func connection(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "handover")
	if f == nil {
		return nil, errors.New("there is no such descriptor")
	}
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	unix, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("it is a %s and not a Unix socket", c.LocalAddr().Network())
	}
	return unix, nil
}

// descriptor returns a listener's own, which must stay open until it is used.
func descriptor(l Listener) (fd uintptr, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(d uintptr) { fd = d })
	return fd, err
}

// environ is the environment of this process without what was passed to it.
func environ() []string {
	var env []string
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case parentVar, countVar, namesVar, talkVar, managerVar:
		default:
			env = append(env, v)
		}
	}
	return env
}

// Prepared waits until the successor has all it needs but the state. Any error means
// that it is gone, or is ended here, and that nothing has changed.
func (s *Successor) Prepared(ctx context.Context) error { return s.await(ctx, prepared) }

// Proceed tells the successor that the state is written and that it is to serve, and
// waits until it does. From then on it goes on by itself.
func (s *Successor) Proceed(ctx context.Context) error {
	if _, err := s.talk.Write([]byte(proceed + "\n")); err != nil {
		s.end()
		return fmt.Errorf("tell process %d to go on: %w", s.PID, err)
	}
	if err := s.await(ctx, ready); err != nil {
		return err
	}
	_ = s.talk.Close()
	_ = s.process.Release()
	return nil
}

// await reads the next line, which has to be the one wanted.
func (s *Successor) await(ctx context.Context, want string) error {
	stop := context.AfterFunc(ctx, func() { _ = s.talk.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := s.lines.ReadString('\n')
	line = strings.TrimSuffix(line, "\n")
	if err == nil && line == want {
		return nil
	}
	reason, said := strings.CutPrefix(line, failed)
	state := s.end()
	switch {
	case said:
		return fmt.Errorf("the new process has failed: %s", reason)
	case ctx.Err() != nil:
		return fmt.Errorf("the new process is not %s: %w", want, context.Cause(ctx))
	case err == nil:
		return fmt.Errorf("the new process has said %q instead of %q", line, want)
	}
	return fmt.Errorf("the new process has ended: %s", state)
}

// end ends the process and returns what became of it.
func (s *Successor) end() (state string) {
	_ = s.talk.Close()
	ended := make(chan string, 1)
	go func() { // it may be ending by itself, with an exit code that tells something
		state, err := s.process.Wait()
		if err != nil {
			ended <- err.Error()
			return
		}
		ended <- state.String()
	}()
	select {
	case state = <-ended:
	case <-time.After(time.Second):
		_ = s.process.Kill()
		state = <-ended
	}
	return state
}
