package strictyaml

import (
	"errors"
	"fmt"

	"gopkg.in/yaml.v3"
)

// LineError is an error at a line of a config.
type LineError struct {
	Line int    // from 1; 0 where it is not known
	Key  string // empty where the line has none
	Err  error
}

func (e *LineError) Error() string {
	if e.Key == "" {
		return e.Err.Error()
	}
	return e.Key + ": " + e.Err.Error()
}

func (e *LineError) Unwrap() error { return e.Err }

// Placed returns err as that of a key, at the line that err carries itself, or else at the given one.
func Placed(line int, key string, err error) *LineError {
	var inner *LineError
	if errors.As(err, &inner) && inner.Line > 0 {
		line = inner.Line
	}
	return &LineError{line, key, err}
}

// Lines holds the line of each key and of each part of a value, such as "num_ctx", "num_ctx.end" and
// "num_ctx[2]".
type Lines map[string]int

// Add adds the lines of the parts of a key's value.
func (l Lines) Add(key string, value *yaml.Node) {
	for i := 0; value.Kind == yaml.MappingNode && i < len(value.Content); i += 2 {
		l[key+"."+value.Content[i].Value] = value.Content[i].Line
	}
	for i := 0; value.Kind == yaml.SequenceNode && i < len(value.Content); i++ {
		l[fmt.Sprintf("%s[%d]", key, i)] = value.Content[i].Line
	}
}

// Of returns the line of the part that err is about (see [WrongPart]), or else of the key.
func (l Lines) Of(key string, err error) int {
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

// WrongPart is fmt.Errorf for an error about a part of a value, such as ".end" of a range or "[2]" of
// a list.
func WrongPart(part, format string, args ...any) error {
	return &partError{part, fmt.Errorf(format, args...)}
}
