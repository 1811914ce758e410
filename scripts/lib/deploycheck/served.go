package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// container is how a manifest has the program run.
type container struct {
	what   string
	args   []string
	env    map[string]string
	mounts map[string]map[string]string // folder to the files that are in it, by name
	ports  []string
	probes map[string]string // path to port
}

// ofSet returns the container of a StatefulSet.
func (m *manifests) ofSet(s appsv1.StatefulSet, im *image) (c container, problems []error) {
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("StatefulSet "+s.Name+": "+format, args...))
	}
	spec := s.Spec.Template.Spec
	main := spec.Containers[0]
	c = container{what: "StatefulSet " + s.Name, args: main.Args, env: map[string]string{}, mounts: map[string]map[string]string{}, probes: map[string]string{}}
	if sc := spec.SecurityContext; sc == nil || sc.RunAsUser == nil || sc.RunAsGroup == nil || fmt.Sprintf("%d:%d", *sc.RunAsUser, *sc.RunAsGroup) != im.user {
		wrong("it does not run as the image's user, %s", im.user)
	}
	for name, value := range im.env {
		c.env[name] = value
	}
	for _, e := range main.Env {
		if c.env[e.Name] = e.Value; e.ValueFrom != nil {
			c.env[e.Name] = "a-secret-of-the-cluster"
		}
	}
	for _, v := range main.VolumeMounts {
		files := map[string]string{}
		if i := slices.IndexFunc(spec.Volumes, func(o corev1.Volume) bool { return o.Name == v.Name }); i >= 0 && spec.Volumes[i].ConfigMap != nil {
			for _, one := range m.maps {
				if one.Name == spec.Volumes[i].ConfigMap.Name {
					files = one.Data
				}
			}
		}
		c.mounts[v.MountPath] = files
	}
	numbers := map[string]string{}
	for _, p := range main.Ports {
		numbers[p.Name] = fmt.Sprint(p.ContainerPort)
		c.ports = append(c.ports, numbers[p.Name])
	}
	for _, p := range []*corev1.Probe{main.StartupProbe, main.LivenessProbe, main.ReadinessProbe} {
		if p != nil && p.HTTPGet != nil {
			c.probes[p.HTTPGet.Path] = numbers[p.HTTPGet.Port.String()]
		}
	}
	return c, problems
}

// ofService returns the container of a compose file's service.
func ofService(s types.ServiceConfig, im *image) (c container, problems []error) {
	c = container{what: "service " + s.Name, args: im.command, env: map[string]string{}, mounts: map[string]map[string]string{}}
	if len(s.Command) > 0 {
		c.args = s.Command
	}
	for name, value := range im.env {
		c.env[name] = value
	}
	for name, value := range s.Environment {
		if value != nil {
			c.env[name] = *value
		}
	}
	for _, v := range s.Volumes {
		c.mounts[v.Target] = nil
	}
	c.ports = im.ports // the edge asks one of them
	for _, p := range s.Ports {
		if !slices.Contains(im.ports, fmt.Sprint(p.Target)) {
			problems = append(problems, fmt.Errorf("%s: the image has no port %d", c.what, p.Target))
		}
	}
	if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < drain*time.Second {
		problems = append(problems, fmt.Errorf("%s: stop_grace_period is less than %d s", c.what, drain))
	}
	if !im.checked {
		problems = append(problems, fmt.Errorf("%s: the image has no health check, which others wait for", c.what))
	}
	return c, problems
}

// podAddress is what a container is asked at: probes do not come from within.
const podAddress = "192.0.2.1"

const (
	startTime = 20 * time.Second
	endTime   = 20 * time.Second
)

// serve runs program as c has it. Its ports have to be listened at and its probes
// answered with 200, it may warn of nothing, and it has to end when it is told to.
func (c container) serve(program string) (problems []error) {
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(c.what+": "+format, args...))
	}
	dir, err := os.MkdirTemp("", "deploycheck")
	if err != nil {
		return []error{err}
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithTimeout(context.Background(), startTime+endTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, c.args...)
	var log bytes.Buffer
	cmd.Dir, cmd.Stderr, cmd.Env = dir, &log, []string{}
	for name, value := range c.env {
		if strings.HasPrefix(value, "/") {
			if value, err = c.mounted(dir, value); err != nil {
				wrong("%s: %w", name, err)
			}
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if err := cmd.Start(); err != nil {
		wrong("%w", err)
		return problems
	}
	end := time.Now().Add(startTime)
	for _, port := range c.ports {
		if err := until(end, func() error { return dial(port) }); err != nil {
			wrong("port %s: %w", port, err)
		}
	}
	for path, port := range c.probes {
		if err := until(end, func() error { return get("http://" + podAddress + ":" + port + path) }); err != nil {
			wrong("probe: %w", err)
		}
	}
	health := exec.CommandContext(ctx, program, "health")
	health.Dir, health.Env = dir, cmd.Env
	if out, err := health.CombinedOutput(); err != nil {
		wrong("headwater health: %w: %s", err, out)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended, which Wait says
	if err := cmd.Wait(); err != nil {
		wrong("it ended with %w", err)
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "WARN") || strings.Contains(line, "ERROR") || strings.HasPrefix(line, "headwater:") {
			wrong("it says %s", strings.TrimSpace(line))
		}
	}
	return problems
}

// mounted returns where a path is below dir, with what its volume holds.
func (c container) mounted(dir, path string) (string, error) {
	for folder, files := range c.mounts {
		if path != folder && !strings.HasPrefix(path, folder+"/") {
			continue
		}
		at := filepath.Join(dir, folder)
		if err := os.MkdirAll(at, 0o750); err != nil {
			return "", err
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o600); err != nil {
				return "", err
			}
		}
		return filepath.Join(dir, path), nil
	}
	return "", fmt.Errorf("%s is in no volume, and the rest cannot be written to", path)
}

func until(end time.Time, try func() error) (err error) {
	for err = try(); err != nil && time.Now().Before(end); err = try() {
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

func dial(port string) error {
	conn, err := net.DialTimeout("tcp", podAddress+":"+port, time.Second)
	if err == nil {
		err = conn.Close()
	}
	return err
}

func get(url string) error {
	client := http.Client{Timeout: time.Second}
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	return nil
}
