//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"time"
)

// hlsCost is what one object costs each server, in µs of CPU for a request.
type hlsCost struct {
	Object    string  `json:"object"`
	Bytes     int     `json:"bytes"`
	Headwater float64 `json:"headwater_us"`
	Bare      float64 `json:"net_http_us"`             // a handler of net/http that does nothing else
	Nginx     float64 `json:"nginx_us,omitempty"`      // copies from a file in memory, as a program from its memory
	Sendfile  float64 `json:"nginx_send_us,omitempty"` // with sendfile
}

const (
	hlsConnections = 64
	hlsRounds      = 2
)

var (
	segmentLine = regexp.MustCompile(`(?m)^[a-z0-9]+-[0-9]+\.m4s$`)
	partLine    = regexp.MustCompile(`EXT-X-PART:.*URI="([^"]+)"`)
)

// measureHLS compares playlist, part and segment of a live stream with the same bytes
// served by others. All servers share one processor, and the load has another if there
// is one; of the rounds, in which the servers take turns, the best counts for each.
func measureHLS(p plan, file *replay) (costs []hlsCost, err error) {
	dir, err := memoryFolder()
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := startProcessOn(1, p.server, serveArgs(filepath.Join(dir, "data")), "rtmp", "http")
	if err != nil {
		return nil, err
	}
	defer server.stop()
	crowd, err := file.start(server.rtmp, 1, 0)
	if err != nil {
		return nil, err
	}
	defer crowd.stop()
	time.Sleep(9 * time.Second) // a few segments
	base := "/live/s0/fmp4/"
	objects := []string{"index.m3u8", "", ""}
	name := func(i int) (string, error) { // of what is there now
		if i == 0 {
			return objects[0], nil
		}
		list, err := get(server.http, base+"index.m3u8")
		if err != nil {
			return "", err
		}
		if all := segmentLine.FindAllString(string(list), -1); i == 2 && len(all) > 0 {
			return all[len(all)-1], nil
		}
		if all := partLine.FindAllSubmatch(list, -1); i == 1 && len(all) > 0 {
			return string(all[len(all)-1][1]), nil
		}
		return "", errors.New("a playlist without segments")
	}
	files := make([]string, len(objects))
	costs = make([]hlsCost, len(objects))
	for i := range objects {
		file, err := name(i)
		if err != nil {
			return nil, err
		}
		body, err := get(server.http, base+file)
		if err != nil {
			return nil, err
		}
		costs[i] = hlsCost{Object: []string{"playlist", "part", "segment"}[i], Bytes: len(body)}
		files[i] = filepath.Join(dir, costs[i].Object+path.Ext(file))
		if err := os.WriteFile(files[i], body, 0o644); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	bare, err := startProcessOn(1, self, append([]string{"bare-http"}, files...), "http")
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	peers := []*process{bare}
	if nginxPath() != "" {
		for _, sendfile := range []bool{false, true} {
			nginx, err := startNginx(dir, sendfile, 1)
			if err != nil {
				return nil, err
			}
			defer nginx.stop()
			peers = append(peers, nginx)
		}
	}
	for range hlsRounds {
		for i := range costs {
			c := &costs[i]
			into := []*float64{&c.Bare, &c.Nginx, &c.Sendfile}
			for j, peer := range peers {
				if err := requestCost(peer, "/"+filepath.Base(files[i]), into[j]); err != nil {
					return nil, err
				}
			}
			file, err := name(i)
			if err != nil {
				return nil, err
			}
			if err := requestCost(server, base+file, &c.Headwater); err != nil {
				return nil, fmt.Errorf("%s: %w", c.Object, err)
			}
		}
	}
	return costs, crowd.failed()
}

// requestCost puts the CPU µs of a request into best if they are fewer.
func requestCost(s *process, path string, best *float64) error {
	return processors(2).run(func() error {
		h, err := newHammer(s.http, path, hlsConnections)
		if h != nil {
			defer h.close()
		}
		if err != nil {
			return err
		}
		before, err := s.cpu()
		if err != nil {
			return err
		}
		err = h.run(time.Second)
		after, err2 := s.cpu()
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		us := float64((after - before).Microseconds()) / float64(h.answered)
		if *best == 0 || us < *best {
			*best = us
		}
		return nil
	})
}

// memoryFolder returns a new folder in memory, or an ordinary one where there is none.
func memoryFolder() (string, error) {
	if dir, err := os.MkdirTemp("/dev/shm", "headwater-bench-"); err == nil {
		return dir, os.Chmod(dir, 0o755)
	}
	return os.MkdirTemp("", "headwater-bench-")
}

func get(addr, path string) ([]byte, error) {
	res, err := http.Get("http://" + addr + path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, res.Status)
	}
	return io.ReadAll(res.Body)
}

func serveArgs(data string) []string {
	return []string{"serve", "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--data", data, "--log-format", "text"}
}
