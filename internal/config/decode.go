package config

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// decode decodes the YAML into c and returns the line of each key.
func (c *Config) decode(data []byte) (strictyaml.Lines, error) {
	top, err := document(data)
	if err != nil {
		return nil, err
	}
	keys := table()
	known := make(strictyaml.Lines)
	for i := 0; i < len(top.Content); i += 2 {
		name, value := top.Content[i].Value, top.Content[i+1]
		line := top.Content[i].Line
		k := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
		switch {
		case k < 0:
			return nil, &strictyaml.LineError{Line: line, Key: "", Err: fmt.Errorf("unknown key %q; the keys are %s", name, strings.Join(names(keys), ", "))}
		case known[name] != 0:
			return nil, &strictyaml.LineError{Line: line, Key: name, Err: fmt.Errorf("already set in line %d", known[name])}
		}
		known[name] = line
		if err := strictyaml.Decode(value, keys[k].field(c)); err != nil {
			return nil, strictyaml.Placed(value.Line, name, err)
		}
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		known.Add(name, value)
	}
	return known, nil
}

func names(keys []key) (names []string) {
	for _, k := range keys {
		names = append(names, k.name)
	}
	return names
}
