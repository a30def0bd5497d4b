// Package strictjson reads files of JSON that a user may have edited, or another program made: it
// refuses what encoding/json passes over without a word, and names the line of an error.
package strictjson

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// strict reads JSON as encoding/json does, but for what that passes over without a word: of two
// keys of one name, or of names that differ in case alone, the last would count, and all results
// of the first be lost.
var strict = json.JoinOptions(
	jsonv1.DefaultOptionsV1(),
	jsonv1.ReportErrorsWithLegacySemantics(false),
	jsontext.AllowDuplicateNames(false),
	json.MatchCaseInsensitiveNames(false),
)

// Unmarshal decodes one JSON value that fills data.
func Unmarshal(data []byte, v any) error { return unmarshal(data, v) }

// UnmarshalKnown is Unmarshal for a value all of whose keys have to be known: a key that is misspelt
// would be a figure that is lost.
func UnmarshalKnown(data []byte, v any) error {
	return unmarshal(data, v, json.RejectUnknownMembers(true))
}

func unmarshal(data []byte, v any, options ...json.Options) error {
	err := json.Unmarshal(data, v, append([]json.Options{strict}, options...)...)
	if err == nil {
		return nil
	}
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: %s", line(data, syntax.ByteOffset), wrongSyntax(syntax))
	case errors.As(err, &semantic):
		return fmt.Errorf("line %d: %s", line(data, semantic.ByteOffset), wrongValue(semantic))
	}
	return err
}

// line returns the number of the line that the byte is in.
func line(data []byte, offset int64) int {
	offset = min(max(offset, 0), int64(len(data)))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

func wrongSyntax(err *jsontext.SyntacticError) string {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Sprintf("the key %q is there twice", err.JSONPointer.LastToken())
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the file ends in the middle of a value"
	}
	return err.Err.Error()
}

func wrongValue(err *json.SemanticError) string {
	if errors.Is(err, json.ErrUnknownName) {
		return fmt.Sprintf("the key %q is not known here", err.JSONPointer.LastToken())
	}
	place := cmp.Or(strings.TrimPrefix(string(err.JSONPointer), "/"), "the file")
	if err.Err != nil && !errors.Is(err.Err, strconv.ErrSyntax) { // as that of 1.5 for a whole number
		return fmt.Sprintf("%s: %v", place, err.Err)
	}
	if err.GoType == nil {
		return fmt.Sprintf("%s can't be read", place)
	}
	return fmt.Sprintf("%s must be %s", place, belongs(err.GoType.Kind()))
}

// belongs names the JSON value that is decoded into a Go value of the kind.
func belongs(kind reflect.Kind) string {
	switch kind {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64, reflect.Float32:
		return "a number"
	}
	return "a whole number"
}
