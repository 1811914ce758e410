package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// image is what a Dockerfile says of the image's last stage.
type image struct {
	user    string // UID:GID
	volume  string
	env     map[string]string
	ports   []string
	command []string // behind the entry point
	checked bool     // it has a health check
}

// readImage reads the few instructions that manifests have to agree with.
func readImage(path string) (*image, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	im := &image{env: map[string]string{}}
	for line := range strings.Lines(string(text)) {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch what {
		case "FROM":
			*im = image{env: map[string]string{}}
		case "USER":
			im.user = rest
		case "VOLUME":
			im.volume = rest
		case "ENV":
			name, value, _ := strings.Cut(rest, "=")
			im.env[name] = value
		case "EXPOSE":
			im.ports = strings.Fields(rest)
		case "HEALTHCHECK":
			im.checked = true
		case "CMD":
			for _, m := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(rest, -1) {
				im.command = append(im.command, m[1])
			}
		}
	}
	if im.user == "" || im.volume == "" || len(im.ports) == 0 || len(im.command) == 0 {
		return nil, fmt.Errorf("%s has no USER, VOLUME, EXPOSE or CMD", path)
	}
	return im, nil
}
