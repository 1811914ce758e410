// Command demopage serves the page that scripts/demo opens for a look: a
// player in a plain HTML page, on another origin than the media, as on a real
// site.
//
//	demopage -listen 127.0.0.1:8090 -media-port 8080 -hlsjs hls.min.js
//	demopage -wait http://127.0.0.1:8080/live/demo.m3u8
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

//go:embed page.html
var page string

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "address of the page")
	port := flag.String("media-port", "8080", "port of the media on the same host")
	hlsjs := flag.String("hlsjs", "", "path of hls.min.js; without it the browser's own player is used")
	wait := flag.String("wait", "", "wait until this URL answers 200, and end")
	flag.Parse()
	var err error
	if *wait != "" {
		err = waitFor(*wait, 30*time.Second)
	} else {
		err = serve(*listen, *port, *hlsjs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demopage:", err)
		os.Exit(1)
	}
}

func serve(listen, port, hlsjs string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, strings.ReplaceAll(page, "{{media-port}}", port))
	})
	mux.HandleFunc("GET /hls.js", func(w http.ResponseWriter, r *http.Request) {
		if hlsjs == "" {
			w.Header().Set("Content-Type", "text/javascript") // an empty script: the page sees that it is missing
			return
		}
		http.ServeFile(w, r, hlsjs)
	})
	server := http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	return server.ListenAndServe()
}

func waitFor(url string, most time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	last := errors.New("no answer")
	for {
		if err := ask(ctx, url); err == nil {
			return nil
		} else if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not play after %s: %w", url, most, last)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(body)))
	}
	return err
}
