// Package strictjson reads JSON files that a user may have edited, or another program written: it
// refuses what encoding/json silently accepts, and its errors name the line.
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

// strict reads JSON as encoding/json does, but refuses duplicate keys and keys that differ only in
// case: there the last would count, and all results of the first would be lost.
var strict = json.JoinOptions(
	jsonv1.DefaultOptionsV1(),
	jsonv1.ReportErrorsWithLegacySemantics(false),
	jsontext.AllowDuplicateNames(false),
	json.MatchCaseInsensitiveNames(false),
)

// Unmarshal decodes data, which must be a single JSON value.
func Unmarshal(data []byte, v any) error { return unmarshal(data, v) }

// UnmarshalKnown is Unmarshal, and also refuses unknown keys: the value of a misspelt key would be
// lost.
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
		return fmt.Errorf("line %d: %s", line(data, syntax.ByteOffset), syntaxText(syntax))
	case errors.As(err, &semantic):
		return fmt.Errorf("line %d: %s", line(data, semantic.ByteOffset), valueText(semantic))
	}
	return err
}

// line returns the number of the line of the byte at offset.
func line(data []byte, offset int64) int {
	offset = min(max(offset, 0), int64(len(data)))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// syntaxText returns the message of a syntax error.
func syntaxText(err *jsontext.SyntacticError) string {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Sprintf("duplicate key %q", err.JSONPointer.LastToken())
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the file ends in the middle of a value"
	}
	return err.Err.Error()
}

// valueText returns the message of a value that does not fit its Go type.
func valueText(err *json.SemanticError) string {
	if errors.Is(err, json.ErrUnknownName) {
		return fmt.Sprintf("unknown key %q", err.JSONPointer.LastToken())
	}
	place := cmp.Or(strings.TrimPrefix(string(err.JSONPointer), "/"), "the file")
	if err.Err != nil && !errors.Is(err.Err, strconv.ErrSyntax) { // ErrSyntax, of 1.5 for a whole number, is explained below
		return fmt.Sprintf("%s: %v", place, err.Err)
	}
	if err.GoType == nil {
		return fmt.Sprintf("%s can't be read", place)
	}
	return fmt.Sprintf("%s must be %s", place, jsonType(err.GoType.Kind()))
}

// jsonType names the JSON type that is decoded into a Go value of the kind.
func jsonType(kind reflect.Kind) string {
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
