// Command deploycheck checks Kubernetes manifests without a cluster: every field must be
// one that the API has, pods must keep to the restricted Pod Security Standard, and what
// refers to something by name (a Service's or a probe's port, selectors, a mount's
// volume) must find it. And a compose file without Docker.
//
// Then it runs the program as the manifests have their containers run it: with the same
// arguments and environment, and with what their volumes hold. Ports, probes and the
// image's user and volumes have to be those that are there, and nothing may be warned of.
// It takes the ports of the manifests and asks at 192.0.2.1: give it a network of its own
// (unshare -n) that has this address.
//
//	deploycheck DIR COMPOSE-FILE DOCKERFILE PROGRAM
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/yaml"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	strict "sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: deploycheck DIR COMPOSE-FILE DOCKERFILE PROGRAM")
		os.Exit(2)
	}
	m := manifests{}
	problems := m.read(os.Args[1])
	if len(problems) == 0 {
		problems = m.check()
	}
	server, err := checkCompose(os.Args[2])
	if err != nil {
		problems = append(problems, err)
	}
	if len(problems) == 0 {
		problems = m.checkServed(server, os.Args[3], os.Args[4])
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
	fmt.Printf("%d objects, %d of kinds that are not the API's own\n", m.objects, m.foreign)
}

// checkServed runs the program as each manifest has it.
func (m *manifests) checkServed(server types.ServiceConfig, dockerfile, program string) (problems []error) {
	im, err := readImage(dockerfile)
	if err != nil {
		return []error{err}
	}
	set, problems := m.ofSet(m.sets[0], im)
	service, more := ofService(server, im)
	problems = append(problems, more...)
	for _, c := range []container{set, service} {
		if _, ok := c.mounts[im.volume]; !ok {
			problems = append(problems, fmt.Errorf("%s: nothing is mounted at the image's volume %s", c.what, im.volume))
		}
		problems = append(problems, c.serve(program)...)
	}
	return problems
}

// manifests are what a folder holds.
type manifests struct {
	objects, foreign int
	sets             []appsv1.StatefulSet
	services         []corev1.Service
	budgets          []policyv1.PodDisruptionBudget
	maps             []corev1.ConfigMap
}

func (m *manifests) read(dir string) (problems []error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		return []error{fmt.Errorf("%s: no manifests", dir)}
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return append(problems, err)
		}
		documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(content)))
		for {
			document := make([]byte, len(content)+1)
			n, err := documents.Read(document)
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = m.add(document[:n])
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", file, err))
				break
			}
		}
	}
	return problems
}

func (m *manifests) add(document []byte) error {
	var kind metav1.TypeMeta
	if err := strict.Unmarshal(document, &kind); err != nil {
		return err
	}
	m.objects++
	switch kind.APIVersion + " " + kind.Kind {
	case "apps/v1 StatefulSet":
		return decode(document, &m.sets)
	case "v1 Service":
		return decode(document, &m.services)
	case "policy/v1 PodDisruptionBudget":
		return decode(document, &m.budgets)
	case "v1 ConfigMap":
		return decode(document, &m.maps)
	case "kustomize.config.k8s.io/v1beta1 Kustomization", "monitoring.coreos.com/v1 ServiceMonitor":
		m.foreign++
		return nil
	}
	return fmt.Errorf("unknown kind %s %s", kind.APIVersion, kind.Kind)
}

// decode appends a document to those of its kind; fields that the kind has not, and
// fields that are there twice, are errors.
func decode[T any](document []byte, to *[]T) error {
	var object T
	if err := strict.UnmarshalStrict(document, &object); err != nil {
		return err
	}
	*to = append(*to, object)
	return nil
}

func (m *manifests) check() (problems []error) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(m.sets) == 0 || len(m.services) == 0 {
		wrong("there is no StatefulSet or no Service")
		return problems
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return []error{err}
	}
	restricted := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
	for _, s := range m.sets {
		pod := s.Spec.Template
		for _, r := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
			if !r.Allowed {
				wrong("StatefulSet %s is not restricted: %s (%s)", s.Name, r.ForbiddenReason, r.ForbiddenDetail)
			}
		}
		if selector, err := metav1.LabelSelectorAsSelector(s.Spec.Selector); err != nil || !selector.Matches(labels.Set(pod.Labels)) {
			wrong("StatefulSet %s does not select its own pods", s.Name)
		}
		if !slices.ContainsFunc(m.services, func(v corev1.Service) bool { return v.Name == s.Spec.ServiceName && v.Spec.ClusterIP == "None" }) {
			wrong("StatefulSet %s: there is no headless Service %q", s.Name, s.Spec.ServiceName)
		}
		for _, err := range m.checkPod(s) {
			wrong("StatefulSet %s: %w", s.Name, err)
		}
	}
	pod := m.sets[0].Spec.Template
	for _, v := range m.services {
		if !labels.SelectorFromSet(v.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			wrong("Service %s selects nothing", v.Name)
		}
		for _, p := range v.Spec.Ports {
			if !hasPort(pod.Spec, p.TargetPort.String()) {
				wrong("Service %s: no container has the port %s", v.Name, p.TargetPort.String())
			}
		}
	}
	for _, b := range m.budgets {
		if selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector); err != nil || !selector.Matches(labels.Set(pod.Labels)) {
			wrong("PodDisruptionBudget %s selects nothing", b.Name)
		}
	}
	return problems
}

// checkPod checks what containers refer to, and that there is time for the drain.
func (m *manifests) checkPod(s appsv1.StatefulSet) (problems []error) {
	spec := s.Spec.Template.Spec
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	var volumes []string
	for _, v := range spec.Volumes {
		volumes = append(volumes, v.Name)
		if v.ConfigMap != nil && !slices.ContainsFunc(m.maps, func(c corev1.ConfigMap) bool { return c.Name == v.ConfigMap.Name }) {
			wrong("there is no ConfigMap %s", v.ConfigMap.Name)
		}
	}
	for _, c := range s.Spec.VolumeClaimTemplates {
		volumes = append(volumes, c.Name)
	}
	for _, c := range spec.Containers {
		for _, v := range c.VolumeMounts {
			if !slices.Contains(volumes, v.Name) {
				wrong("there is no volume %s", v.Name)
			}
		}
		for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if p == nil || p.HTTPGet == nil || !hasPort(spec, p.HTTPGet.Port.String()) {
				wrong("container %s: a probe is missing or has no port", c.Name)
			}
		}
		if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil || spec.TerminationGracePeriodSeconds == nil {
			wrong("container %s: there is no preStop or no terminationGracePeriodSeconds", c.Name)
		} else if left := *spec.TerminationGracePeriodSeconds - c.Lifecycle.PreStop.Sleep.Seconds; left < drain {
			wrong("container %s has %d s for its drain and needs %d", c.Name, left, drain)
		}
	}
	return problems
}

// drain is shutdown.grace, the 8 s that the end may hang for then, and a little more.
const drain = 20

func hasPort(spec corev1.PodSpec, name string) bool {
	return slices.ContainsFunc(spec.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
	})
}
