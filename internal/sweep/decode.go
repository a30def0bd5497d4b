package sweep

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// lineError is what is wrong with a line of a config.
type lineError struct {
	line int    // from 1; 0 where it is not known
	key  string // empty where the line has none
	err  error
}

func (e *lineError) Error() string {
	if e.key == "" {
		return e.err.Error()
	}
	return e.key + ": " + e.err.Error()
}

func (e *lineError) Unwrap() error { return e.err }

// decode reads the YAML into c and returns the line of each key. The YAML
// library alone would cut 1.5 down to a 1, and take an empty value for one that
// is not there.
func (c *Config) decode(data []byte) (lines map[string]int, err error) {
	top, err := document(data)
	if err != nil {
		return nil, err
	}
	fields := configFields(c)
	lines = make(map[string]int)
	for i := 0; i < len(top.Content); i += 2 {
		key, value := top.Content[i].Value, top.Content[i+1]
		line := top.Content[i].Line
		field, known := fields[key]
		switch {
		case !known:
			return nil, &lineError{line, "", fmt.Errorf("unknown key %q; known are %s", key, strings.Join(configKeys(), ", "))}
		case lines[key] != 0:
			return nil, &lineError{line, key, fmt.Errorf("stands in line %d already", lines[key])}
		}
		lines[key] = line
		if err := decodeValue(value, field); err != nil {
			return nil, &lineError{value.Line, key, err}
		}
	}
	return lines, nil
}

// document returns the mapping that the text holds, and nothing else.
func document(data []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: see testdata/demo.yaml for an example")
	} else if err != nil {
		return nil, syntaxError(data, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document: a config has no line ---")
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, &lineError{top.Line, "", errors.New("expected lines like `model: llama3.1:8b`")}
	}
	return top, nil
}

// position matches the library's own errors: yaml: line 1: did not find expected ',' or ']'
var position = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

func syntaxError(data []byte, err error) error {
	for i, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(line, "\t") {
			return &lineError{i + 1, "", errors.New("a tab at the line's start: YAML wants spaces there")}
		}
	}
	match := position.FindStringSubmatch(err.Error())
	if match == nil {
		return fmt.Errorf("not YAML: %w", err)
	}
	line, _ := strconv.Atoi(match[1]) // 0 where there is none
	return &lineError{line, "", fmt.Errorf("not YAML: %s; expected lines like `model: llama3.1:8b`", match[2])}
}

// configFields returns where the value of each key goes.
func configFields(c *Config) map[string]any {
	fields := make(map[string]any)
	v := reflect.ValueOf(c).Elem()
	for i, key := range configKeys() {
		fields[key] = v.Field(i).Addr().Interface()
	}
	return fields
}

// configKeys returns the keys of the YAML, in their order in Config.
func configKeys() []string {
	var keys []string
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("yaml"))
	}
	return keys
}

// decodeValue reads a value of the type that the field has, and of no other.
func decodeValue(n *yaml.Node, field any) error {
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
		return scalar(n, field, "a text", func(s string) (string, error) { return s, nil })
	case *int:
		if n.ShortTag() != "!!int" {
			return expected("a whole number like 8", n)
		}
		return scalar(n, field, "a whole number like 8", wholeNumber)
	case *float64:
		return scalar(n, field, "a number like 0.9", func(s string) (float64, error) { return parseFloat(n) })
	case *bool:
		if n.ShortTag() != "!!bool" {
			return expected("true or false", n)
		}
		return scalar(n, field, "true or false", func(s string) (bool, error) { return strings.EqualFold(s, "true"), nil })
	case *time.Duration:
		return scalar(n, field, "a duration like 15m or 90s", parseDuration)
	}
	panic(fmt.Sprintf("a config's field of type %T", field))
}

func scalar[T any](n *yaml.Node, field *T, kind string, parse func(string) (T, error)) error {
	if n.Kind != yaml.ScalarNode {
		return expected(kind, n)
	}
	v, err := parse(n.Value)
	if err != nil {
		return err
	}
	*field = v
	return nil
}

// expected says what a value should be, and what it is.
func expected(kind string, n *yaml.Node) error {
	is := strconv.Quote(n.Value)
	switch n.Kind {
	case yaml.SequenceNode:
		is = "a list"
	case yaml.MappingNode:
		is = "a mapping"
	}
	return fmt.Errorf("expected %s, and this is %s", kind, is)
}

// wholeNumber and parseDuration read values of the YAML and of flags.

func wholeNumber(s string) (int, error) {
	v, err := strconv.Atoi(s)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%s is too large a number", s)
	}
	if err != nil {
		return 0, fmt.Errorf("expected a whole number like 8, and this is %q", s)
	}
	return v, nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("expected a duration like 15m or 90s, and this is %q", s)
	}
	return d, nil
}

func parseFloat(n *yaml.Node) (v float64, err error) {
	if tag := n.ShortTag(); tag != "!!float" && tag != "!!int" || n.Decode(&v) != nil {
		return 0, expected("a number like 0.9", n)
	}
	return v, nil
}

// mapping reads a mapping with no other keys than those of the fields.
func mapping(n *yaml.Node, fields map[string]any, form string) error {
	if n.Kind != yaml.MappingNode {
		return expected(form, n)
	}
	seen := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i].Value
		field, known := fields[key]
		switch {
		case !known:
			return fmt.Errorf("unknown key %q: expected %s", key, form)
		case seen[key]:
			return fmt.Errorf("%s stands there twice", key)
		}
		seen[key] = true
		if err := decodeValue(n.Content[i+1], field); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// decodeList reads whole numbers.
func decodeList(n *yaml.Node) ([]int, error) {
	values := make([]int, len(n.Content))
	for i, item := range n.Content {
		if err := decodeValue(item, &values[i]); err != nil {
			return nil, fmt.Errorf("value %d: %w", i+1, err)
		}
	}
	return slices.Clip(values), nil
}
