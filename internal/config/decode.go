package config

import (
	"fmt"
	"reflect"
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
	fields := configFields(c)
	known := make(strictyaml.Lines)
	for i := 0; i < len(top.Content); i += 2 {
		key, value := top.Content[i].Value, top.Content[i+1]
		line := top.Content[i].Line
		field, ok := fields[key]
		switch {
		case !ok:
			return nil, &strictyaml.LineError{Line: line, Key: "", Err: fmt.Errorf("unknown key %q; the keys are %s", key, strings.Join(configKeys(), ", "))}
		case known[key] != 0:
			return nil, &strictyaml.LineError{Line: line, Key: key, Err: fmt.Errorf("already set in line %d", known[key])}
		}
		known[key] = line
		if err := strictyaml.Decode(value, field); err != nil {
			return nil, strictyaml.Placed(value.Line, key, err)
		}
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		known.Add(key, value)
	}
	return known, nil
}

// noKey is the tag of a field without a key, which is derived from others.
const noKey = "-"

// configFields returns a pointer to the field of each key.
func configFields(c *Config) map[string]any {
	fields := make(map[string]any)
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if key := v.Type().Field(i).Tag.Get("yaml"); key != noKey {
			fields[key] = v.Field(i).Addr().Interface()
		}
	}
	return fields
}

// configKeys returns the keys of the YAML, in their order in Config.
func configKeys() []string {
	var keys []string
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != noKey {
			keys = append(keys, key)
		}
	}
	return keys
}
