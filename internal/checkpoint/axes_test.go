package checkpoint

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// threeAxes is the header of a sweep over num_ctx, num_batch and num_gpu.
func threeAxes() Header {
	return Header{Model: "m", NumCtx: []int{4096, 8192}, NumBatch: []int{128}, Axes: []cell.SettingAxis{{Name: "num_gpu", Values: []string{"auto", "30"}}}, Fixed: map[string]string{"flash_attention": "on"}}
}

// TestCheckpointWithAxes: a sweep with other axes has a format of its own, with a key for each result, and
// is read as it was written, by itself and with a journal.
func TestCheckpointWithAxes(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenStore(dir, threeAxes(), false, noon)
	require.NoError(t, err)
	rate := 12.5
	plan := s.Checkpoint().Plan()
	require.Len(t, plan, 4)
	for _, c := range plan {
		r := NewResult(c)
		r.PromptEvalRate = &rate
		require.NoError(t, s.Put(r))
	}
	var text bytes.Buffer
	require.NoError(t, s.Checkpoint().Encode(&text))
	assert.Contains(t, text.String(), "\"version\": 2,")
	assert.Contains(t, text.String(), `{"num_ctx":4096,"num_batch":128,"key":{"num_ctx":4096,"num_batch":128,"num_gpu":"auto"},"prompt_eval_rate":12.5`)
	back, err := Load(s.Path())
	require.NoError(t, err)
	assert.Equal(t, plan, back.Plan())
	for _, c := range plan {
		require.NotNil(t, back.Result(c), "%v", c)
		assert.Equal(t, c, back.Result(c).Cell())
	}
	again, err := Decode(text.Bytes())
	require.NoError(t, err)
	assert.Equal(t, back, again)
	assert.Empty(t, back.OffGrid())

	smaller := threeAxes()
	smaller.Axes[0].Values = []string{"30"}
	resumed, err := OpenStore(dir, smaller, false, noon)
	require.NoError(t, err)
	assert.Len(t, resumed.Checkpoint().OffGrid(), 2, "the values of an axis may change as those of num_ctx may")

	for want, change := range map[string]func(*Header){
		`axes is "num_gpu" there and "" here`:                                             func(h *Header) { h.Axes = nil },
		`axes is "num_gpu" there and "num_gpu, num_thread" here`:                          func(h *Header) { h.Axes = append(h.Axes, cell.SettingAxis{Name: "num_thread", Values: []string{"1"}}) },
		`fixed is "flash_attention=on" there and "flash_attention=off" here`:              func(h *Header) { h.Fixed = map[string]string{"flash_attention": "off"} },
		`fixed is "flash_attention=on" there and "num_thread=8, flash_attention=on" here`: func(h *Header) { h.Fixed["num_thread"] = "8" },
	} {
		other := threeAxes()
		change(&other)
		_, err = OpenStore(dir, other, false, noon)
		assert.ErrorContains(t, err, want)
	}
}
