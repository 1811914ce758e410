package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"headwater/configs"
)

// runAsCommand makes the test binary behave as headwater itself, so that exit
// codes and signals are those of a real process.
const runAsCommand = "RUN_AS_COMMAND=1"

func TestMain(m *testing.M) {
	if slices.Contains(os.Environ(), runAsCommand) {
		main()
	}
	os.Exit(m.Run())
}

// command returns a headwater process with an environment of its own.
func command(t *testing.T, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{runAsCommand, "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH")}, environ...)
	return cmd
}

func TestCommands(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("hls:\n  windoww: 12s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(t.TempDir(), "good.yaml")
	if err := os.WriteFile(good, []byte(configs.Default), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args   []string
		env    []string
		code   int
		stdout string
		stderr string
	}{
		{args: nil, code: 0, stdout: "Usage:"},
		{args: []string{"--help"}, code: 0, stdout: "serve"},
		{args: []string{"version"}, code: 0, stdout: "headwater "},
		{args: []string{"completion", "bash"}, code: 0, stdout: "bash completion"},
		{args: []string{"config", "default"}, code: 0, stdout: configs.Default},
		{args: []string{"config", "check", good}, code: 0, stdout: good + ": ok\n"},
		{args: []string{"config", "check", bad}, code: 2, stderr: "headwater: " + bad + ":2: hls.windoww: no such key; did you mean hls.window?\n"},
		{args: []string{"config", "check", good + ".none"}, code: 2, stderr: "no such file"},
		{args: []string{"config", "check"}, code: 2, stderr: "accepts 1 arg"},
		{args: []string{"config", "nonsense"}, code: 2, stderr: `unknown command "nonsense"`},
		{args: []string{"nonsense"}, code: 2, stderr: `unknown command "nonsense"`},
		{args: []string{"serve", "--nonsense"}, code: 2, stderr: "unknown flag: --nonsense"},
		{args: []string{"serve", "extra"}, code: 2, stderr: `unknown command "extra"`},
		{args: []string{"serve", "--config", bad}, code: 2, stderr: bad + ":2: hls.windoww"},
		{args: []string{"serve"}, env: []string{"HEADWATER_CONFIG=" + bad}, code: 2, stderr: bad + ":2: hls.windoww"},
		{args: []string{"serve", "--http", "nonsense"}, code: 2, stderr: "--http: http.listen: "},
		{args: []string{"serve", "--admin", ":0"}, code: 2, stderr: "--admin: admin.listen: off loopback this listener needs a token"},
		{args: []string{"serve"}, env: []string{"HEADWATER_HLS_WINDOW=long"}, code: 2, stderr: "HEADWATER_HLS_WINDOW: hls.window: "},
		{args: []string{"serve", "--data", "/dev/null/x", "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, code: 1, stderr: "publish key"},
		{args: []string{"token", "publish", "live/x"}, code: 2, stderr: `"expires" not set`},
		{args: []string{"token", "publish", "--expires", "1h"}, code: 2, stderr: "accepts 1 arg"},
		{args: []string{"token", "publish", "x", "--expires", "1h"}, code: 1, stderr: "make token: "},
		{args: []string{"token", "publish", "live/x", "--expires", "9000h"}, code: 1, stderr: "make token: "},
		{args: []string{"token", "play", "live/*", "--expires", "1h"}, code: 0, stdout: "hw1.local."},
		{args: []string{"token", "publish", "live/x", "--expires", "2h", "--once", "--from", "10.0.0.0/8"}, env: []string{"HEADWATER_TOKENS_SECRETS=[{id: a, key: a-secret-of-more-than-32-letters-0123456789}]"}, code: 0, stdout: "hw1.a."},
		{args: []string{"health", "--admin", "127.0.0.1:1"}, code: 1, stderr: "ask for health: "},
		{args: []string{"health", "--admin", "127.0.0.1:0"}, code: 1, stderr: "port 0"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			cmd := command(t, tt.env, tt.args...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d (%v), want %d\n%s", code, err, tt.code, stderr.String())
			}
			if !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("standard output %q\nstandard error %q", stdout.String(), stderr.String())
			}
			if tt.code == 0 && stderr.Len() > 0 {
				t.Errorf("standard error %q", stderr.String())
			}
		})
	}
}

func TestDialAddress(t *testing.T) {
	tests := map[string]string{
		":8081": "127.0.0.1:8081", "0.0.0.0:8081": "127.0.0.1:8081", "[::]:8081": "[::1]:8081",
		"10.0.0.1:1": "10.0.0.1:1", "localhost:2": "localhost:2", "127.0.0.1:0": "", "nonsense": "",
	}
	for listen, want := range tests {
		if got, err := dialAddress(listen); got != want || (err == nil) != (want != "") {
			t.Errorf("dialAddress(%q) = %q, %v; want %q", listen, got, err, want)
		}
	}
}
