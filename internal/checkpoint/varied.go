package checkpoint

import (
	"maps"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// WithoutVaried returns the header without the fields that the axes of the sweep change from cell to cell,
// which are no part of its identity: settings of the server that are axes, the attention implementation where
// an axis decides it, the devices where a variable of the environment or another binary can, and the
// version where the binary is an axis.
func (h Header) WithoutVaried() Header {
	if h.varies(func(s cell.Setting) bool { return s.Name == cell.Ollama }) {
		h.OllamaVersion, h.Settings = "", nil
	}
	if h.varies(choosesDevices) {
		h.Devices = nil
	}
	if h.varies(func(s cell.Setting) bool { return choosesDevices(s) || slices.Contains(attentionAxes, s.Name) }) {
		h.Attention = ""
	}
	if h.varies(func(s cell.Setting) bool { _, ok := h.Settings[s.Env]; return ok }) {
		h.Settings = maps.Clone(h.Settings)
		maps.DeleteFunc(h.Settings, func(name, _ string) bool { return h.variesVariable(name) })
	}
	return h
}

// choosesDevices reports whether a setting can change the devices that the server finds.
func choosesDevices(s cell.Setting) bool { return s.Name == cell.Ollama || s.Env == s.Name }

// attentionAxes decide the attention implementation of a load, besides those that can change the devices: on
// a CPU it can be another one than on a GPU.
var attentionAxes = []string{"num_gpu", "main_gpu", "flash_attention", "kv_cache_type"}

// varies reports whether an axis of the sweep is such a setting.
func (h Header) varies(such func(cell.Setting) bool) bool {
	return slices.ContainsFunc(h.Axes, func(a cell.SettingAxis) bool {
		s, ok := cell.SettingOf(a.Name)
		return ok && such(s)
	})
}

// variesVariable reports whether an axis sets this variable of the server's environment.
func (h Header) variesVariable(name string) bool {
	return h.varies(func(s cell.Setting) bool { return s.Env == name })
}
