//go:build linux

package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// nginxPath returns where nginx is, "" if it is not installed.
func nginxPath() string {
	for _, path := range []string{"nginx", "/usr/sbin/nginx"} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	return ""
}

// nginxConf serves a folder as Debian's default does, without a log, from one process.
const nginxConf = `daemon off;
master_process off;
worker_processes 1;
pid DIR/nginx-HTTP.pid;
error_log stderr warn;
MODULES
events { worker_connections 20000; }
http {
	access_log off;
	sendfile SENDFILE;
	tcp_nopush on;
	open_file_cache max=100;
	types { application/vnd.apple.mpegurl m3u8; video/mp4 m4s mp4; video/mp2t ts; }
	keepalive_timeout 60s;
	keepalive_requests 100000000;
	client_body_temp_path DIR/t1;
	proxy_temp_path DIR/t2;
	fastcgi_temp_path DIR/t3;
	uwsgi_temp_path DIR/t4;
	scgi_temp_path DIR/t5;
	server {
		listen 127.0.0.1:HTTP;
		root DIR;
		add_header Cache-Control "public, max-age=1";
		add_header Access-Control-Allow-Origin "*";
	}
}
RTMP
`

const nginxRTMP = `rtmp {
	access_log off;
	server {
		listen 127.0.0.1:PORT;
		chunk_size 4096;
		application live { live on; }
	}
}
`

// rtmpModule is where Debian's libnginx-mod-rtmp puts it.
const rtmpModule = "/usr/lib/nginx/modules/ngx_rtmp_module.so"

// startNginx starts a peer that serves dir, on the processors given.
func startNginx(dir string, sendfile bool, on processors) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &process{http: "127.0.0.1:" + strconv.Itoa(port)}
	modules, rtmp := "", ""
	if _, err := os.Stat(rtmpModule); err == nil {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		p.rtmp = "127.0.0.1:" + strconv.Itoa(port)
		modules = "load_module " + rtmpModule + ";"
		rtmp = strings.ReplaceAll(nginxRTMP, "PORT", strconv.Itoa(port))
	}
	conf := strings.NewReplacer("DIR", dir, "MODULES", modules, "RTMP", rtmp, "HTTP", strconv.Itoa(port),
		"SENDFILE", map[bool]string{false: "off", true: "on"}[sendfile]).Replace(nginxConf)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(nginxPath(), "-e", "stderr", "-p", dir, "-c", path)
	p.cmd.Stderr = os.Stderr
	if err := on.run(p.cmd.Start); err != nil {
		return nil, err
	}
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	for range 100 {
		if conn, err := net.Dial("tcp", p.http); err == nil {
			return p, conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("nginx does not listen on %s", p.http)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// processors are the ones that a process may use; 0: all.
type processors uint64

// run calls f on a thread that may use them alone, as may a process that it starts.
func (p processors) run(f func() error) error {
	if p == 0 {
		return f()
	}
	runtime.LockOSThread()
	var before [16]uint64
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(before), uintptr(unsafe.Pointer(&before))); errno != 0 {
		return errno
	}
	mask := [16]uint64{uint64(p)}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask))); errno != 0 {
		return errno
	}
	err := f()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(before), uintptr(unsafe.Pointer(&before))); errno == 0 {
		runtime.UnlockOSThread() // else the thread ends with its goroutine
	}
	return err
}

// bareHTTP serves what its arguments name from memory with what net/http needs and no
// more: what a server that uses it cannot be below.
func bareHTTP(files []string) error {
	raiseDescriptors()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "level=INFO msg=listening addr=%s proto=http\n", l.Addr())
	bodies := map[string][]byte{}
	for _, f := range files {
		if bodies["/"+filepath.Base(f)], err = os.ReadFile(f); err != nil {
			return err
		}
	}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := bodies[r.URL.Path]
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
		w.Header()["Content-Type"] = []string{"application/octet-stream"}
		_, _ = w.Write(body)
	}))
}
