package randommodel

import (
	"flag"
	"fmt"
)

// Shape is what the speed and the memory of a model follow from.
type Shape struct {
	Layers, Width, Inner int // Inner is the width of the feed-forward network
	Heads, KVHeads       int // of attention, and those that keys and values have
	Vocab                int // tokens
	Trained              int // tokens of context; servers clamp num_ctx to it
}

// Large has the layers of Qwen2.5 1.5B, and a vocabulary with which all weights are 1.5
// billion. Its embedding and output matrices are two, where that model has one for both.
var Large = Shape{Layers: 28, Width: 1536, Inner: 8960, Heads: 12, KVHeads: 2, Vocab: 65_536, Trained: 131_072}

// Register adds a flag for each figure, whose default is the shape's own.
func (s *Shape) Register(flags *flag.FlagSet) {
	for _, f := range []struct {
		name, usage string
		into        *int
	}{
		{"layers", "`number` of layers", &s.Layers},
		{"width", "`elements` of the embedding", &s.Width},
		{"inner", "`elements` of the feed-forward network", &s.Inner},
		{"heads", "`number` of attention heads", &s.Heads},
		{"kv-heads", "`number` of heads of keys and values", &s.KVHeads},
		{"vocab", "`tokens` of the vocabulary", &s.Vocab},
		{"context", "`tokens` of the trained context", &s.Trained},
	} {
		flags.IntVar(f.into, f.name, *f.into, f.usage)
	}
}

// Check refuses what no server loads: a row is a whole number of blocks of 32, and heads
// share the width evenly.
func (s Shape) Check() error {
	for _, n := range []int{s.Layers, s.Width, s.Inner, s.Heads, s.KVHeads, s.Trained} {
		if n < 1 {
			return fmt.Errorf("%d is below 1", n)
		}
	}
	switch {
	case s.Width%32 != 0 || s.Inner%32 != 0:
		return fmt.Errorf("-width %d and -inner %d: name multiples of 32", s.Width, s.Inner)
	case s.Width%(2*s.Heads) != 0:
		return fmt.Errorf("-width %d is no multiple of twice -heads %d", s.Width, s.Heads)
	case s.Heads%s.KVHeads != 0:
		return fmt.Errorf("-heads %d is no multiple of -kv-heads %d", s.Heads, s.KVHeads)
	case s.KVHeads*s.Width/s.Heads%32 != 0:
		return fmt.Errorf("-kv-heads %d: their keys are no multiple of 32 wide", s.KVHeads)
	case s.Vocab < firstOther:
		return fmt.Errorf("-vocab %d is below %d, which the bytes take", s.Vocab, firstOther)
	}
	return nil
}

// size is the number of weights in short, such as 1.5B.
func (s Shape) size() string {
	switch n := float64(s.Weights()); {
	case n >= 1e9:
		return fmt.Sprintf("%.1fB", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1fM", n/1e6)
	default:
		return fmt.Sprintf("%.0fK", n/1e3)
	}
}

// Weights is the number of the matrices' weights.
func (s Shape) Weights() int {
	kv := s.Width / s.Heads * s.KVHeads
	layer := 2*s.Width*s.Width + 2*s.Width*kv + 3*s.Width*s.Inner
	return s.Layers*layer + 2*s.Vocab*s.Width
}
