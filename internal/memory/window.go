package memory

import "fmt"

// window is how an architecture says which layers keep only a sliding window.
type window struct {
	period int  // of as many layers one keeps all tokens: the last, or the first; 0 where only a list tells
	first  bool // the first
	tokens int  // where the server does not tell how many
	always int  // tokens, whatever the server tells
	whole  bool // every layer has the window
}

// windows are the architectures with a sliding window in llama.cpp (b10091,
// src/models). Others keep all tokens, whatever their keys say of a window.
var windows = map[string]window{
	"gemma2": {period: 2, tokens: 4096}, "gemma3": {period: 6}, "gemma3n": {period: 5}, "gemma4": {},
	"gpt-oss": {period: 2}, "llama4": {period: 4, tokens: 8192, always: 8192}, "cohere2": {period: 4}, "cohere2moe": {period: 4, first: true},
	"olmo2": {period: 4}, "plamo3": {period: 8}, "afmoe": {period: 4}, "mellum": {period: 4}, "laguna": {period: 4, first: true},
	"exaone4": {period: 4, tokens: 4096}, "exaone-moe": {period: 4, tokens: 128}, "smallthinker": {period: 4, first: true, always: 4096},
	"mimo2": {}, "step35": {}, "lfm2": {whole: true},
}

// windowed returns which layers keep only a sliding window, and sets its tokens.
func (in *info) windowed(m *Model, architecture string, headsKV []int) ([]bool, error) {
	none := make([]bool, m.Layers)
	w, has := windows[architecture]
	m.Window = in.number("attention.sliding_window")
	pattern, listed := in.value("attention.sliding_window_pattern")
	if !has {
		if m.Window > 0 {
			m.Doubts = append(m.Doubts, fmt.Sprintf("a sliding window of %d tokens is not in the figures: where the server uses it, they are too high", m.Window))
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
	case !listed && w.period == 0 && !w.whole:
		return nil, in.lacks("attention.sliding_window_pattern")
	}
	all := none
	// Layers that draft keep all tokens.
	for i := range max(0, m.Layers-in.number("nextn_predict_layers")) {
		all[i] = w.has(i) && (!w.whole || headsKV[i] > 0)
	}
	return all, nil
}

// windowTokens returns the window's tokens, 0 where the model has none.
func (in *info) windowTokens(m *Model, w window, architecture string) int {
	tokens := m.Window
	if _, told := in.value("attention.sliding_window"); !told {
		tokens = w.tokens
	}
	switch {
	case tokens > 0 && w.always > 0:
		return w.always
	case architecture == "exaone4" && m.Layers-in.number("nextn_predict_layers") != 64:
		return 0 // only the largest of them has one
	}
	return tokens
}

// has reports whether a layer has the window.
func (w window) has(layer int) bool {
	switch {
	case w.period == 0:
		return true
	case w.first:
		return layer%w.period != 0
	}
	return layer%w.period < w.period-1
}

// windowList reads a pattern that names each layer.
func (in *info) windowList(layers int) ([]bool, error) {
	each, err := in.each("attention.sliding_window_pattern", layers)
	if err != nil {
		return nil, err
	}
	all := make([]bool, layers)
	for i, n := range each {
		all[i] = n > 0
	}
	return all, nil
}
