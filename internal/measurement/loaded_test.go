package measurement

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEffectiveJSON checks that unknown settings are left out, so that older files stay as they are, and that
// a known zero is not.
func TestEffectiveJSON(t *testing.T) {
	no := false
	for text, e := range map[string]Effective{
		`{}`: {},
		`{"num_ctx":1024,"num_batch":64,"parallel":1}`: {NumCtx: 1024, NumBatch: 64, Parallel: 1},
		`{"num_gpu":0,"main_gpu":0,"num_thread":2,"use_mmap":false,"draft_num_predict":0,"flash_attention":"off","kv_cache_type":"f16"}`: {
			NumGPU: new(int), MainGPU: new(int), NumThread: 2, UseMmap: &no, DraftNumPredict: new(int), FlashAttention: "off", KVCacheType: "f16",
		},
	} {
		got, err := json.Marshal(e)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
		var back Effective
		require.NoError(t, json.Unmarshal(got, &back))
		assert.Equal(t, e, back)
	}
}

func TestEffectiveValue(t *testing.T) {
	var unknown Effective
	for _, name := range []string{"num_gpu", "main_gpu", "num_thread", "use_mmap", "draft_num_predict", "flash_attention", "kv_cache_type", "num_parallel", "ollama"} {
		_, ok := unknown.Value(name)
		assert.False(t, ok, name)
	}
	value, ok := Effective{NumGPU: new(int)}.Value("num_gpu")
	assert.True(t, ok)
	assert.Equal(t, "0", value)
}
