package checkpoint

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// TestWithoutVaried checks what is left of the identity of a server whose settings are axes, and that
// another server then differs in the rest.
func TestWithoutVaried(t *testing.T) {
	header := func(axis, flash string) Header {
		h := Header{
			OllamaVersion: "0.10.1", Devices: []string{"A"}, Attention: "flash attention " + flash + ", KV cache f16",
			Settings: map[string]string{"OLLAMA_FLASH_ATTENTION": flash, "OLLAMA_NUM_PARALLEL": "1", "LLAMA_ARG_FIT": "off"},
		}
		if axis != "" {
			h.Axes = []cell.SettingAxis{{Name: axis, Values: []string{"a", "b"}}}
		}
		return h
	}
	for axis, want := range map[string]struct {
		version, devices, attention bool
		settings                    int
	}{
		"":                {true, true, true, 3},
		"num_thread":      {true, true, true, 3},
		"num_gpu":         {true, true, false, 3},
		"main_gpu":        {true, true, false, 3},
		"flash_attention": {true, true, false, 2},
		"kv_cache_type":   {true, true, false, 3},
		"num_parallel":    {true, true, true, 2},
		"LLAMA_ARG_FIT":   {true, false, false, 2},
		"GGML_X":          {true, false, false, 3},
		"ollama":          {false, false, false, 0},
	} {
		h := header(axis, "on")
		got := h.WithoutVaried()
		assert.Equal(t, want.version, got.OllamaVersion != "", axis)
		assert.Equal(t, want.devices, got.Devices != nil, axis)
		assert.Equal(t, want.attention, got.Attention != "", axis)
		assert.Len(t, got.Settings, want.settings, axis)
		assert.Len(t, h.Settings, 3, "the header itself is not changed")
		assert.Equal(t, got, got.WithoutVaried(), axis)

		here := header(axis, "off").WithoutVaried()
		if axis == "flash_attention" || axis == "ollama" {
			assert.Empty(t, got.Differs(here), axis)
		} else {
			assert.Contains(t, got.Differs(here), "settings.OLLAMA_FLASH_ATTENTION", axis)
		}
	}
}

// TestVariedSettingIsUnknown: a setting that is an axis is not listed as unset.
func TestVariedSettingIsUnknown(t *testing.T) {
	h := Header{Settings: map[string]string{"OLLAMA_FLASH_ATTENTION": "true"}, Axes: []cell.SettingAxis{{Name: "flash_attention"}}}
	for _, trait := range h.WithoutVaried().Identity() {
		if trait.Key == "settings.OLLAMA_FLASH_ATTENTION" {
			assert.Empty(t, trait.Value)
		}
	}
}
