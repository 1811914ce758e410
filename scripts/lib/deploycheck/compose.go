package main

import (
	"context"
	"fmt"

	"github.com/compose-spec/compose-go/v2/cli"
)

// checkCompose loads a compose file as docker compose does: against the schema of the
// Compose Specification, with what refers to something by name.
func checkCompose(file string) error {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithoutEnvironmentResolution, cli.WithName("check"))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	for _, name := range []string{"headwater", "edge"} {
		if _, err := project.GetService(name); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	fmt.Printf("%d services\n", len(project.Services))
	return nil
}
