package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encodedOf returns a checkpoint's file.
func encodedOf(t testing.TB, cp *Checkpoint) []byte {
	t.Helper()
	var b strings.Builder
	require.NoError(t, cp.Encode(&b))
	return []byte(b.String())
}

func errorsOf(errs ...error) error { return errors.Join(errs...) }

// TestBounds: figures that decide how much memory is allocated are refused where they are out of range.
func TestBounds(t *testing.T) {
	long := strings.TrimSuffix(strings.Repeat("1,", 100_000), ",")
	sparse := func(form string) string {
		var b strings.Builder
		for i := range 1500 {
			fmt.Fprintf(&b, `%s{"num_ctx":%d,"num_batch":%d,"prompt_eval_rate":1}`, strings.Repeat(",", min(i, 1)), 2000+i, 1+i)
		}
		return fmt.Sprintf(form, b.String())
	}
	header := func(text string) string { return `{"version": 1, "sweep": {` + text + `}, "results": []}` }
	axes := func(text string) string {
		return `{"version": 2, "sweep": {"num_ctx": [1024, 2048], "num_batch": [64], "axes": [` + text + `]}, "results": []}`
	}
	for name, test := range map[string]struct{ text, want string }{
		"a grid":              {header(`"num_ctx": [` + long + `], "num_batch": [` + long + `]`), "sweep: 1 num_ctx by 1 num_batch"},
		"no grid":             {sparse(`{"version": 1, "sweep": {}, "results": [%s]}`), "1500 num_ctx by 1500 num_batch are 2250000 cells, the maximum is 1000000"},
		"an older tool's":     {sparse(`{"metadata": {}, "results": [%s]}`), "1500 num_ctx by 1500 num_batch are 2250000 cells, the maximum is 1000000"},
		"a value of the grid": {header(`"num_ctx": [4096, 4294967296]`), "num_ctx has 4294967296, which is not between 1 and 2147483647"},
		"a value of 0":        {header(`"num_batch": [0]`), "num_batch has 0"},
		"a cell":              {`{"version": 1, "sweep": {}, "results": [{"num_ctx":9223372036854775807,"num_batch":1,"prompt_eval_rate":1}]}`, "result 1 (ctx=9223372036854775807/batch=1): the maximum is 2147483647"},
		"axes":                {axes(`{"name":"num_gpu","values":[` + quotedText(2000) + `]},{"name":"num_thread","values":[` + quotedText(2000) + `]}`), "sweep: 2 num_ctx, 1 num_batch and the values of 2 other axes are more than 1000000 cells"},
		"a value twice":       {axes(`{"name":"num_gpu","values":["1","2","1"]}`), `sweep: axis num_gpu has the value "1" twice`},
		"no value":            {axes(`{"name":"num_gpu","values":[]}`), "sweep: axis num_gpu has no values"},
		"an axis twice":       {axes(`{"name":"num_gpu","values":["1"]},{"name":"num_gpu","values":["2"]}`), `sweep: axis 2: "num_gpu" after "num_gpu", out of order`},
		"num_ctx as an axis":  {axes(`{"name":"num_ctx","values":["1","2"]}`), `sweep: axis 1: unknown setting "num_ctx"`},
		"shards":              {header(`"shard": "1/1000001"`), "shard 1/1000001: the maximum is 1000000 shards"},
		"per_word":            {header(`"prompt_sizing": {"fixed": 1, "per_word": 1e-9}`), "per_word is 1e-09, which is not between 0.0625 and 2147483647 tokens"},
		"per_word below 0":    {header(`"prompt_sizing": {"fixed": 1, "per_word": -1}`), "per_word is -1"},
		"fixed":               {header(`"prompt_sizing": {"fixed": -1e300, "per_word": 1}`), "fixed is -1e+300 tokens"},
		"file_tokens":         {header(`"prompt_sizing": {"fixed": 1, "per_word": 1, "file_tokens": 4294967296}`), "file_tokens is 4294967296"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "a grid" { // of distinct values
				test.text = strings.Replace(test.text, long, distinctText(100_000), 2)
				test.want = "100000 num_ctx by 100000 num_batch are 10000000000 cells, the maximum is 1000000"
			}
			path := filepath.Join(t.TempDir(), FileName)
			require.NoError(t, os.WriteFile(path, []byte(test.text), 0o644))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Load(path)
			runtime.ReadMemStats(&after)
			assert.ErrorContains(t, err, test.want)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(100<<20), "bytes")
		})
	}
}

func distinctText(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s%d", strings.Repeat(",", min(i, 1)), i+1)
	}
	return b.String()
}

// quotedText returns so many distinct values of an axis.
func quotedText(n int) string { return `"` + strings.ReplaceAll(distinctText(n), ",", `","`) + `"` }

// TestDuplicateKeys: duplicate keys are refused wherever they are; encoding/json would silently use the last.
func TestDuplicateKeys(t *testing.T) {
	whole := string(encoded(t))
	for name, test := range map[string]struct{ old, instead, want string }{
		"results":        {`"results": [`, "\"results\": [],\n\"results\": [", `duplicate key "results"`},
		"in other case":  {`"results": [`, "\"Results\": [],\n\"results\": [", `unknown key "Results"`},
		"escaped":        {`"results": [`, "\"result\\u0073\": [],\n\"results\": [", `duplicate key "results"`},
		"version":        {`"version": 1`, `"version": 1, "version": 1`, `line 2: duplicate key "version"`},
		"of the sweep":   {`"model": `, `"model": "x", "model": `, `line 4: duplicate key "model"`},
		"of a sample":    {`"prompt_eval_count":`, `"prompt_eval_count":1,"prompt_eval_count":`, `duplicate key "prompt_eval_count"`},
		"only the other": {`"samples"`, `"Samples"`, `unknown key "Samples"`},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, whole, test.old)
			_, err := Decode([]byte(strings.Replace(whole, test.old, test.instead, 1)))
			assert.ErrorContains(t, err, test.want)
		})
	}
	_, err := Decode([]byte(`{"metadata": {}, "results": [{"num_ctx": 1, "num_batch": 1, "prompt_eval_rate": 1}], "results": []}`))
	assert.ErrorContains(t, err, `duplicate key "results"`, "an older tool's")
}
