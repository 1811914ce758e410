// Command sbomcheck checks bills of materials against the schema of CycloneDX 1.6, which
// the module of its Go library has in its folder.
//
//	sbomcheck SCHEMAS FILE...
package main

import (
	"fmt"
	"os"
	"path/filepath"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: sbomcheck SCHEMAS FILE...")
		os.Exit(2)
	}
	schema, err := load(os.Args[1])
	for _, file := range os.Args[2:] {
		if err == nil {
			err = check(schema, file)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbomcheck:", err)
		os.Exit(1)
	}
}

// load compiles the schema with those that it refers to by their addresses.
func load(dir string) (*jsonschema.Schema, error) {
	compiler := jsonschema.NewCompiler()
	for address, file := range map[string]string{
		"http://cyclonedx.org/schema/bom-1.6.schema.json":  "bom-1.6.schema.json",
		"http://cyclonedx.org/schema/spdx.schema.json":     "spdx.schema.json",
		"http://cyclonedx.org/schema/jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		document, err := read(filepath.Join(dir, file))
		if err != nil {
			return nil, err
		}
		if err := compiler.AddResource(address, document); err != nil {
			return nil, err
		}
	}
	return compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
}

func read(path string) (any, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return jsonschema.UnmarshalJSON(f)
}

func check(schema *jsonschema.Schema, path string) error {
	document, err := read(path)
	if err != nil {
		return err
	}
	if err := schema.Validate(document); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(f, cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if bom.Components == nil || len(*bom.Components) < 2 {
		return fmt.Errorf("%s: no components", path)
	}
	fmt.Printf("%s: %d components\n", filepath.Base(path), len(*bom.Components))
	return nil
}
