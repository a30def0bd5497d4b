package randommodel

import (
	"flag"
	"fmt"
)

// Shape is the dimensions of a model, which determine its speed and memory.
type Shape struct {
	Layers, Width, Inner int // Inner is the width of the feed-forward network
	Heads, KVHeads       int // of attention, and of keys and values
	Vocab                int // tokens
	Trained              int // tokens of context; servers clamp num_ctx to it
}

// Large has the layers of Qwen2.5 1.5B, and a vocabulary for 1.5 billion weights in all. It
// has separate embedding and output matrices, where that model shares one.
var Large = Shape{Layers: 28, Width: 1536, Inner: 8960, Heads: 12, KVHeads: 2, Vocab: 65_536, Trained: 131_072}

// Register defines a flag for each dimension, with the current value as its default.
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

// Check returns an error for a shape that no server loads: a row must be a multiple of 32,
// and the width a multiple of twice the heads.
func (s Shape) Check() error {
	for _, n := range []int{s.Layers, s.Width, s.Inner, s.Heads, s.KVHeads, s.Trained} {
		if n < 1 {
			return fmt.Errorf("%d is below 1", n)
		}
	}
	switch {
	case s.Width%32 != 0 || s.Inner%32 != 0:
		return fmt.Errorf("-width %d and -inner %d: use multiples of 32", s.Width, s.Inner)
	case s.Width%(2*s.Heads) != 0:
		return fmt.Errorf("-width %d is not a multiple of twice -heads %d", s.Width, s.Heads)
	case s.Heads%s.KVHeads != 0:
		return fmt.Errorf("-heads %d is not a multiple of -kv-heads %d", s.Heads, s.KVHeads)
	case s.KVHeads*s.Width/s.Heads%32 != 0:
		return fmt.Errorf("-kv-heads %d: the width of the keys is not a multiple of 32", s.KVHeads)
	case s.Vocab < firstOther:
		return fmt.Errorf("-vocab %d is below %d, the number of special tokens and bytes", s.Vocab, firstOther)
	}
	return nil
}

// size returns the number of weights in short form, such as 1.5B.
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

// Weights returns the number of weights of all matrices.
func (s Shape) Weights() int {
	kv := s.Width / s.Heads * s.KVHeads
	layer := 2*s.Width*s.Width + 2*s.Width*kv + 3*s.Width*s.Inner
	return s.Layers*layer + 2*s.Vocab*s.Width
}
