package parse

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPromptTiming(t *testing.T) {
	log, err := os.ReadFile("testdata/ollama-0.32.5-prompts.log")
	require.NoError(t, err)
	for _, test := range []struct {
		name              string
		log               string
		took              time.Duration // of the answer
		cached, evaluated int
		ok                bool
	}{
		{"evaluated completely, in parts", string(log), 24231 * time.Microsecond, 0, 740, true},
		{"sent again", string(log), 458 * time.Microsecond, 739, 1, true},
		{"of another prompt", string(log), 460 * time.Millisecond, 0, 0, false},
		{"none", "", time.Second, 0, 0, false},
		{"the newest of two", string(log) + "| task 20 | n_past = 25, memory_seq_rm [25, end)\n| task 20 | prompt eval time = 24.23 ms / 715 tokens", 24231 * time.Microsecond, 25, 715, true},
		{"two at once", "| task 1 | kv cache rm [25, end)\n| task 2 | kv cache rm [7, end)\n| task 1 | prompt eval time = 2.00 ms / 715 tokens\n| task 2 | prompt eval time = 3.00 ms / 9 tokens", 2 * time.Millisecond, 25, 715, true},
		{"started before the log", "| task 1 | prompt eval time = 2.00 ms / 715 tokens", 2 * time.Millisecond, 0, 0, false},
		{"no figure", "| task 1 | kv cache rm [25, end)\n| task 1 | prompt eval time = 2.00.00 ms / 715 tokens", 2 * time.Millisecond, 0, 0, false},
	} {
		cached, evaluated, ok := PromptTiming([]byte(test.log), test.took)
		assert.Equal(t, fmt.Sprint(test.cached, test.evaluated, test.ok), fmt.Sprint(cached, evaluated, ok), test.name)
	}
	assert.True(t, LogsPrompts(log))
	old, err := os.ReadFile("testdata/ollama-0.10.1-load-1024-8.log")
	require.NoError(t, err)
	assert.False(t, LogsPrompts(old))
}

func FuzzPromptTiming(f *testing.F) {
	log, err := os.ReadFile("testdata/ollama-0.32.5-prompts.log")
	require.NoError(f, err)
	f.Add(log, int64(24231000))
	f.Fuzz(func(t *testing.T, log []byte, took int64) {
		cached, evaluated, ok := PromptTiming(log, time.Duration(took))
		assert.Equal(t, ok, evaluated > 0)
		assert.GreaterOrEqual(t, cached, 0)
	})
}
