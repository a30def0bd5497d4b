package strictjson

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type value struct {
	A int                `json:"a"`
	B []struct{ C bool } `json:"b"`
	D map[string]string  `json:"d"`
	E *float64           `json:"e"`
}

func TestUnmarshal(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 1, "b": [{"C": true}], "d": {"x": "y"}, "e": null}`: "",
		"{\"a\": 1,\n\"a\": 2}":          `line 2: duplicate key "a"`,
		`{"d": {"x": "1", "x": "2"}}`:    `line 1: duplicate key "x"`,
		`{"z": [{"x": 1, "\u0078": 2}]}`: `line 1: duplicate key "x"`,
		"{\n\"a\": \"1\"}":               "line 2: a must be a whole number",
		`{"a": 1.5}`:                     "line 1: a must be a whole number",
		`{"a": 1e400}`:                   "line 1: a",
		`{"b": {}}`:                      "line 1: b must be a list",
		`{"b": [{"C": 1}]}`:              "line 1: b/0/C must be true or false",
		`{"d": []}`:                      "line 1: d must be an object",
		`{"d": {"x": 1}}`:                "line 1: d/x must be a string",
		`{"e": "1"}`:                     "line 1: e must be a number",
		`[]`:                             "line 1: the file must be an object",
		"{\"a\": 1\n":                    "line 2: the file ends in the middle of a value",
		`{"a": 1} x`:                     "line 1: invalid character 'x' after top-level value",
	} {
		var v value
		err := Unmarshal([]byte(text), &v)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		assert.ErrorContains(t, err, want, text)
	}
}

func TestUnmarshalKnown(t *testing.T) {
	var v value
	require.NoError(t, Unmarshal([]byte(`{"A": 1, "x": 2}`), &v), "unknown keys are ignored")
	assert.Zero(t, v.A, "and so is a key in another case")
	assert.ErrorContains(t, UnmarshalKnown([]byte(`{"a": 1, "x": 2}`), &v), `line 1: unknown key "x"`)
	assert.ErrorContains(t, UnmarshalKnown([]byte(`{"A": 1}`), &v), `line 1: unknown key "A"`)
}

func FuzzUnmarshal(f *testing.F) {
	f.Add(`{"a": 1, "b": [{"C": true}], "d": {"x": "y"}, "e": 1.5}`)
	f.Fuzz(func(t *testing.T, text string) {
		var v value
		if err := UnmarshalKnown([]byte(text), &v); err != nil {
			assert.NotContains(t, err.Error(), "\n")
		}
	})
}
