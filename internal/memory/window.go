package memory

import "fmt"

// window describes which layers of an architecture have a sliding window.
type window struct {
	period        int  // the last of every period layers has no window; 0 if only a list decides
	first         bool // instead of the last one, the first has no window
	defaultTokens int  // size if the server does not report it
	fixedTokens   int  // size, whatever the server reports; 0 for none
	allLayers     bool // every layer has the window
}

// windows are the architectures with a sliding window in llama.cpp (b10091,
// src/models). Others store all tokens, even if their keys name a window.
var windows = map[string]window{
	"gemma2": {period: 2, defaultTokens: 4096}, "gemma3": {period: 6}, "gemma3n": {period: 5}, "gemma4": {},
	"gpt-oss": {period: 2}, "llama4": {period: 4, defaultTokens: 8192, fixedTokens: 8192}, "cohere2": {period: 4}, "cohere2moe": {period: 4, first: true},
	"olmo2": {period: 4}, "plamo3": {period: 8}, "afmoe": {period: 4}, "mellum": {period: 4}, "laguna": {period: 4, first: true},
	"exaone4": {period: 4, defaultTokens: 4096}, "exaone-moe": {period: 4, defaultTokens: 128}, "smallthinker": {period: 4, first: true, fixedTokens: 4096},
	"mimo2": {}, "step35": {}, "lfm2": {allLayers: true},
}

// windowed returns which layers have a sliding window, and sets m.Window.
func (in *info) windowed(m *Model, architecture string, headsKV []int) ([]bool, error) {
	none := make([]bool, m.Layers)
	w, has := windows[architecture]
	m.Window = in.number("attention.sliding_window")
	pattern, listed := in.value("attention.sliding_window_pattern")
	if !has {
		if m.Window > 0 {
			m.Doubts = append(m.Doubts, fmt.Sprintf("the figures do not include a sliding window of %d tokens: if the server uses it, they are too high", m.Window))
		}
		return none, nil
	}
	if m.Window = in.windowTokens(m, w, architecture); m.Window == 0 {
		return none, nil
	}
	_, isNumber := pattern.(float64)
	switch {
	case listed && !isNumber:
		return in.windowList(m.Layers)
	case listed && w.period > 0:
		w.period = asNumber(pattern)
	case !listed && w.period == 0 && !w.allLayers:
		return nil, in.missing("attention.sliding_window_pattern")
	}
	all := none
	// Layers that draft tokens have no window.
	for i := range max(0, m.Layers-in.number("nextn_predict_layers")) {
		all[i] = w.hasWindow(i) && (!w.allLayers || headsKV[i] > 0)
	}
	return all, nil
}

// windowTokens returns the size of the window in tokens, 0 if the model has none.
func (in *info) windowTokens(m *Model, w window, architecture string) int {
	tokens := m.Window
	if _, reported := in.value("attention.sliding_window"); !reported {
		tokens = w.defaultTokens
	}
	switch {
	case tokens > 0 && w.fixedTokens > 0:
		return w.fixedTokens
	case architecture == "exaone4" && m.Layers-in.number("nextn_predict_layers") != 64:
		return 0 // only the largest model has one
	}
	return tokens
}

// hasWindow reports whether a layer has the window.
func (w window) hasWindow(layer int) bool {
	switch {
	case w.period == 0:
		return true
	case w.first:
		return layer%w.period != 0
	}
	return layer%w.period < w.period-1
}

// windowList reads a pattern with an entry for each layer.
func (in *info) windowList(layers int) ([]bool, error) {
	each, err := in.perLayer("attention.sliding_window_pattern", layers)
	if err != nil {
		return nil, err
	}
	all := make([]bool, layers)
	for i, n := range each {
		all[i] = n > 0
	}
	return all, nil
}
