package main

import (
	"context"
	"fmt"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// checkCompose loads a compose file as docker compose does: against the schema of the
// Compose Specification, with what refers to something by name. It returns the server's
// service.
func checkCompose(file string) (server types.ServiceConfig, err error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithoutEnvironmentResolution, cli.WithName("check"))
	if err != nil {
		return server, err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return server, err
	}
	for _, name := range []string{"edge", "headwater"} {
		if server, err = project.GetService(name); err != nil {
			return server, fmt.Errorf("%s: %w", file, err)
		}
	}
	fmt.Printf("%d services\n", len(project.Services))
	return server, nil
}
