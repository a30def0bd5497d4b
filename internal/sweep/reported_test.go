package sweep

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

// TestConfigsReported reads configs of spikezz/ollama_benchmark (older-tool*.yaml), and
// common ways to write numbers and lists.
func TestConfigsReported(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"older-tool.yaml", ": model: missing: name the model to sweep, as `ollama list` shows it"},
		{"underscore.yaml", `:3: num_ctx: value 1: expected a whole number like 8, got "8_192"`},
		{"quoted-number.yaml", `:3: num_ctx: value 1: expected a whole number like 8, got the string "8192": remove the quotes`},
		{"k-suffix.yaml", `:3: num_ctx: value 1: expected a whole number like 8, got "8k"`},
		{"hexadecimal.yaml", `:3: num_ctx: value 1: expected a whole number like 8, got "0x2000"`},
		{"comma-list.yaml", `:4: num_batch: expected {start: N, end: N, step: N} or a list [N, N, …], got "128, 256"`},
		{"yes.yaml", `:5: test_row_first: expected true or false, got "yes"`},
		{"leading-zero.yaml", `:4: num_batch: value 1: expected a whole number like 8, got "0128"`},
		{"seconds.yaml", `:5: cell_timeout: expected a duration like 15m or 90s, got "900"`},
		{"merge-key.yaml", `:1: unknown key "defaults"; the keys are `},
	} {
		file := filepath.Join("testdata", "reported", test.file)
		_, err := config.Read(file, new(config.Overrides))
		assert.ErrorContains(t, err, "config "+file+test.want)
	}

	c, err := config.Read(filepath.Join("testdata", "reported", "older-tool-with-model.yaml"), new(config.Overrides))
	require.NoError(t, err)
	assert.Equal(t, "nemotron_f", c.Model)
	assert.Equal(t, cell.Axis{Start: 32768, End: 110592, Step: 2048}, c.NumCtx)
	assert.Equal(t, cell.Axis{Start: 128, End: 2048, Step: 128}, c.NumBatch)
	assert.False(t, c.TestRowFirst)
	c, err = config.Read(filepath.Join("testdata", "reported", "bom-crlf.yaml"), new(config.Overrides))
	require.NoError(t, err)
	assert.Equal(t, []int{8192}, c.NumCtx.Values())
	assert.Equal(t, []int{128}, c.NumBatch.Values())
}
