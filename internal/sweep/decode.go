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

// placed returns err with the line that it carries itself, or else with this one.
func placed(line int, key string, err error) *lineError {
	var inner *lineError
	if errors.As(err, &inner) && inner.line > 0 {
		line = inner.line
	}
	return &lineError{line, key, err}
}

// places are the lines of each key and of each part of a value, such as "num_ctx",
// "num_ctx.end" and "num_ctx[2]".
type places map[string]int

// add takes the lines of a value's parts.
func (l places) add(key string, value *yaml.Node) {
	for i := 0; value.Kind == yaml.MappingNode && i < len(value.Content); i += 2 {
		l[key+"."+value.Content[i].Value] = value.Content[i].Line
	}
	for i := 0; value.Kind == yaml.SequenceNode && i < len(value.Content); i++ {
		l[fmt.Sprintf("%s[%d]", key, i)] = value.Content[i].Line
	}
}

// of returns the line of the part at fault, or else of the key.
func (l places) of(key string, err error) int {
	var part *partError
	if errors.As(err, &part) {
		if line, ok := l[key+part.part]; ok {
			return line
		}
	}
	return l[key]
}

// partError is what is wrong with a part of a value: ".end" of a range, "[2]" of a list.
type partError struct {
	part string
	err  error
}

func (e *partError) Error() string { return e.err.Error() }
func (e *partError) Unwrap() error { return e.err }

// wrongPart is fmt.Errorf for a part.
func wrongPart(part, format string, args ...any) error {
	return &partError{part, fmt.Errorf(format, args...)}
}

// decode reads the YAML into c and returns the line of each key. The YAML
// library alone would cut 1.5 down to a 1, and take an empty value for one that
// is not there.
func (c *Config) decode(data []byte) (places, error) {
	top, err := document(data)
	if err != nil {
		return nil, err
	}
	fields := configFields(c)
	known := make(places)
	for i := 0; i < len(top.Content); i += 2 {
		key, value := top.Content[i].Value, top.Content[i+1]
		line := top.Content[i].Line
		field, ok := fields[key]
		switch {
		case !ok:
			return nil, &lineError{line, "", fmt.Errorf("unknown key %q; known are %s", key, strings.Join(configKeys(), ", "))}
		case known[key] != 0:
			return nil, &lineError{line, key, fmt.Errorf("is set in line %d already", known[key])}
		}
		known[key] = line
		if err := decodeValue(value, field); err != nil {
			return nil, placed(value.Line, key, err)
		}
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		known.add(key, value)
	}
	return known, nil
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
	top := doc.Content[0]
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &lineError{secondDocument(data, top.Line), "", errors.New("more than one YAML document: a config has no line ---")}
	}
	if top.Kind != yaml.MappingNode {
		return nil, &lineError{top.Line, "", errors.New("expected lines like `model: llama3.1:8b`")}
	}
	return top, nil
}

// secondDocument returns the line that begins one, below the first line of the first.
func secondDocument(data []byte, first int) int {
	for i, line := range strings.Split(string(data), "\n") {
		if i+1 > first && (strings.HasPrefix(line, "---") || strings.HasPrefix(line, "...")) {
			return i + 1
		}
	}
	return 0
}

// position matches the library's own errors: yaml: line 1: did not find expected ',' or ']'
var position = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

func syntaxError(data []byte, err error) error {
	match := position.FindStringSubmatch(err.Error())
	if match == nil {
		return fmt.Errorf("not YAML: %w", err)
	}
	text := strings.Split(string(data), "\n")
	line := brokenLine(text)
	if line == 0 {
		line, _ = strconv.Atoi(match[1]) // 0 where there is none
	}
	if line > 0 && line <= len(text) && strings.HasPrefix(strings.TrimLeft(text[line-1], " "), "\t") {
		return &lineError{line, "", errors.New("a tab at the line's start: YAML wants spaces there")}
	}
	return &lineError{line, "", fmt.Errorf("not YAML: %s; expected lines like `model: llama3.1:8b`", match[2])}
}

// mostLines bounds the time that is spent on finding a line of what is no config.
const mostLines = 500

// brokenLine returns the line at which the text ceases to be YAML, however it goes on: the
// one after the longest beginning that is. It is 0 where that takes too long to find.
// The library's own line is one too low where its parser complains and not its scanner,
// and that of the mapping around where this does not begin in the first line.
func brokenLine(text []string) int {
	if len(text) > mostLines {
		return 0
	}
	for n := len(text) - 1; n > 0; n-- {
		if isYAML(strings.Join(text[:n], "\n")) {
			return n + 1
		}
	}
	return 1
}

func isYAML(text string) bool {
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		switch err := d.Decode(new(yaml.Node)); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return false
		}
	}
}

// noKey is the tag of a field that follows from others.
const noKey = "-"

// configFields returns where the value of each key goes.
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
	switch {
	case n.Kind == yaml.SequenceNode:
		is = "a list"
	case n.Kind == yaml.MappingNode:
		is = "a mapping"
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		is = "the text " + is + ", since it is in quotes"
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
	seen := make(map[string]int)
	for i := 0; i < len(n.Content); i += 2 {
		key, line := n.Content[i].Value, n.Content[i].Line
		field, known := fields[key]
		switch {
		case !known:
			return &lineError{line, "", fmt.Errorf("unknown key %q: expected %s", key, form)}
		case seen[key] > 0:
			return &lineError{line, key, fmt.Errorf("is set in line %d already", seen[key])}
		}
		seen[key] = line
		if err := decodeValue(n.Content[i+1], field); err != nil {
			return placed(n.Content[i+1].Line, key, err)
		}
	}
	return nil
}

// decodeList reads whole numbers.
func decodeList(n *yaml.Node) ([]int, error) {
	values := make([]int, len(n.Content))
	for i, item := range n.Content {
		if err := decodeValue(item, &values[i]); err != nil {
			return nil, placed(item.Line, fmt.Sprintf("value %d", i+1), err)
		}
	}
	return slices.Clip(values), nil
}
