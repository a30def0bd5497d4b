// Package strictyaml decodes the values of a YAML config into fields of exactly their types, with
// errors that name the line. The YAML library alone would truncate 1.5 to 1, treat an empty value
// as a missing one, and use the second of two equal keys. It reads no files and defines no keys.
package strictyaml

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Decode reads a value into the field, a pointer to a string, int, float64, bool or time.Duration,
// or a yaml.Unmarshaler. A value of another type and an empty one are errors.
func Decode(n *yaml.Node, field any) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.ShortTag() == "!!null" {
		return errors.New("has no value: give one, or leave the key out")
	}
	switch field := field.(type) {
	case yaml.Unmarshaler:
		return field.UnmarshalYAML(n)
	case *string:
		return Scalar(n, field, "a string", func(s string) (string, error) { return s, nil })
	case *int:
		if n.ShortTag() != "!!int" {
			return Expected("a whole number like 8", n)
		}
		return Scalar(n, field, "a whole number like 8", WholeNumber)
	case *float64:
		return Scalar(n, field, "a number like 0.9", func(s string) (float64, error) { return parseFloat(n) })
	case *bool:
		if n.ShortTag() != "!!bool" {
			return Expected("true or false", n)
		}
		return Scalar(n, field, "true or false", func(s string) (bool, error) { return strings.EqualFold(s, "true"), nil })
	case *time.Duration:
		return Scalar(n, field, "a duration like 15m or 90s", Duration)
	}
	panic(fmt.Sprintf("a config's field of type %T", field))
}

// Scalar parses a node that is neither a list nor a mapping. Errors call the expected value kind.
func Scalar[T any](n *yaml.Node, field *T, kind string, parse func(string) (T, error)) error {
	if n.Kind != yaml.ScalarNode {
		return Expected(kind, n)
	}
	v, err := parse(n.Value)
	if err != nil {
		return err
	}
	*field = v
	return nil
}

// Expected returns an error that says what kind of value was expected, and what the node is.
func Expected(kind string, n *yaml.Node) error {
	is := strconv.Quote(n.Value)
	switch {
	case n.Kind == yaml.SequenceNode:
		is = "a list"
	case n.Kind == yaml.MappingNode:
		is = "a mapping"
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		is = "the string " + is + ": remove the quotes"
	}
	return fmt.Errorf("expected %s, got %s", kind, is)
}

// WholeNumber reads an int of a config or a flag.
func WholeNumber(s string) (int, error) {
	v, err := strconv.Atoi(s)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("number %s is too large", s)
	}
	if err != nil {
		return 0, fmt.Errorf("expected a whole number like 8, got %q", s)
	}
	return v, nil
}

// Duration reads a duration of a config or a flag, like 15m.
func Duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("expected a duration like 15m or 90s, got %q", s)
	}
	return d, nil
}

func parseFloat(n *yaml.Node) (v float64, err error) {
	if tag := n.ShortTag(); tag != "!!float" && tag != "!!int" || n.Decode(&v) != nil {
		return 0, Expected("a number like 0.9", n)
	}
	return v, nil
}

// Mapping decodes a mapping into fields, with [Decode] for each value. Unknown and duplicate keys
// are errors. Errors show form as the expected syntax.
func Mapping(n *yaml.Node, fields map[string]any, form string) error {
	if n.Kind != yaml.MappingNode {
		return Expected(form, n)
	}
	seen := make(map[string]int)
	for i := 0; i < len(n.Content); i += 2 {
		key, line := n.Content[i].Value, n.Content[i].Line
		field, known := fields[key]
		switch {
		case !known:
			return &LineError{line, "", fmt.Errorf("unknown key %q: expected %s", key, form)}
		case seen[key] > 0:
			return &LineError{line, key, fmt.Errorf("already set in line %d", seen[key])}
		}
		seen[key] = line
		if err := Decode(n.Content[i+1], field); err != nil {
			return Placed(n.Content[i+1].Line, key, err)
		}
	}
	return nil
}

// List reads a sequence of whole numbers.
func List(n *yaml.Node) ([]int, error) {
	values := make([]int, len(n.Content))
	for i, item := range n.Content {
		if err := Decode(item, &values[i]); err != nil {
			return nil, Placed(item.Line, fmt.Sprintf("value %d", i+1), err)
		}
	}
	return slices.Clip(values), nil
}
