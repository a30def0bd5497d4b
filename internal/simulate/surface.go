package simulate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/strictjson"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Surface is the true rates of a plan's cells and how noisy a measurement is.
type Surface struct {
	Name  string
	Plan  []cell.Key
	Rates map[cell.Key]float64 // in tokens per second; without the cells that fail
	Sizes map[cell.Key]Size    // of loaded models, where they are known

	// Refused are the cells that fail for another reason than a lack of memory.
	Refused map[cell.Key]bool

	// Probes are the true rates of passes of num_batch tokens under the load of a cell, by these
	// tokens; nil where no load can be probed.
	Probes map[cell.Key]map[int]float64
	// PromptTokens is the length of the prompts.
	PromptTokens int

	Noise       float64 // standard deviation of the logarithm of a sample's rate
	OutlierProb float64 // probability that a sample is an outlier, which is slow
	OutlierLow  float64 // lowest rate of an outlier, relative to the true rate

	Missing int // cells without a result in the checkpoint, which are not in the Plan
}

// Size is the bytes of a loaded model, and those of them in GPU memory.
type Size struct{ All, VRAM int64 }

// surfaceFile is the format of a surface's file.
type surfaceFile struct {
	Name        string         `json:"name"`
	NumCtx      []int          `json:"num_ctx"`
	NumBatch    []int          `json:"num_batch"`
	TrueRate    [][]*float64   `json:"true_rate"`     // by num_ctx, then num_batch; null for a cell that fails
	Size        [][]int64      `json:"size"`          // in the same order, in bytes; optional
	SizeVRAM    [][]int64      `json:"size_vram"`     // likewise
	ProbeRate   [][][]*float64 `json:"probe_rate"`    // in the same order, then by num_batch up to that of the load; optional
	Prompt      int            `json:"prompt_tokens"` // optional
	Noise       float64        `json:"noise"`
	OutlierProb float64        `json:"outlier_prob"`
	OutlierLow  float64        `json:"outlier_low"`
}

// Read reads a surface from its file, or from a sweep's checkpoint: the medians are then
// the true rates, and the scatter is the noise.
func Read(file string) (*Surface, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var s *Surface
	var kind map[string]json.RawMessage
	if json.Unmarshal(data, &kind) == nil && kind["true_rate"] != nil {
		s, err = decode(data)
	} else {
		s, err = recorded(file)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	return s, nil
}

func decode(data []byte) (*Surface, error) {
	var g surfaceFile
	if err := strictjson.Unmarshal(data, &g); err != nil {
		return nil, err
	}
	return g.surface()
}

func (g *surfaceFile) surface() (*Surface, error) {
	switch {
	case !ascending(g.NumCtx):
		return nil, errors.New("num_ctx must be positive and ascending")
	case !ascending(g.NumBatch):
		return nil, errors.New("num_batch must be positive and ascending")
	case len(g.TrueRate) != len(g.NumCtx):
		return nil, fmt.Errorf("true_rate has %d rows for %d num_ctx", len(g.TrueRate), len(g.NumCtx))
	case !(g.Noise >= 0) || !(g.OutlierProb >= 0 && g.OutlierProb <= 1) || !(g.OutlierLow >= 0 && g.OutlierLow <= 1):
		return nil, errors.New("noise must not be negative, and outlier_prob and outlier_low must be from 0 to 1")
	}
	if g.Prompt < 0 {
		return nil, fmt.Errorf("prompt_tokens is %d: it must be positive", g.Prompt)
	}
	for _, sizes := range [][][]int64{g.Size, g.SizeVRAM} {
		if sizes != nil && !g.holds(sizes) {
			return nil, errors.New("size and size_vram must have the rows and columns of true_rate")
		}
	}
	if g.ProbeRate != nil && !g.holdsProbes() {
		return nil, errors.New("probe_rate must have the rows and columns of true_rate, each null or with a rate for each num_batch up to that of the column")
	}
	s := &Surface{Name: g.Name, PromptTokens: cmp.Or(g.Prompt, defaultPromptTokens), Rates: make(map[cell.Key]float64), Sizes: make(map[cell.Key]Size), Noise: g.Noise, OutlierProb: g.OutlierProb, OutlierLow: g.OutlierLow}
	for i, ctx := range g.NumCtx {
		if len(g.TrueRate[i]) != len(g.NumBatch) {
			return nil, fmt.Errorf("true_rate of num_ctx %d has %d rates for %d num_batch", ctx, len(g.TrueRate[i]), len(g.NumBatch))
		}
		for j, batch := range g.NumBatch {
			c := cell.Key{Ctx: ctx, Batch: batch}
			if !c.Valid() {
				continue
			}
			s.Plan = append(s.Plan, c)
			if rate := g.TrueRate[i][j]; rate != nil {
				if !(*rate > 0) {
					return nil, fmt.Errorf("true_rate of %v must be positive", c)
				}
				s.Rates[c] = *rate
			}
			if err := g.addProbes(s, i, j); err != nil {
				return nil, err
			}
			if g.Size != nil && g.SizeVRAM != nil {
				s.Sizes[c] = Size{g.Size[i][j], g.SizeVRAM[i][j]}
			}
		}
	}
	return s, s.check()
}

// holds reports whether there is a size for each cell of the grid.
func (g *surfaceFile) holds(sizes [][]int64) bool {
	return len(sizes) == len(g.NumCtx) && !slices.ContainsFunc(sizes, func(row []int64) bool { return len(row) != len(g.NumBatch) })
}

// defaultPromptTokens is the length of the prompts of surfaces that have none.
const defaultPromptTokens = 7000

func ascending(values []int) bool {
	for i, v := range values {
		if v <= 0 || i > 0 && v <= values[i-1] {
			return false
		}
	}
	return len(values) > 0
}

var errNoRate = errors.New("no cell has a rate, so there is nothing to find")

func (s *Surface) check() error {
	if len(s.Rates) == 0 {
		return errNoRate
	}
	return nil
}

// recorded reads a surface from a sweep's checkpoint, without the cells that were
// not measured.
func recorded(file string) (*Surface, error) {
	cp, err := checkpoint.Load(file)
	if err != nil {
		return nil, err
	}
	s := &Surface{Name: filepath.Base(filepath.Dir(file)), Rates: make(map[cell.Key]float64), Sizes: make(map[cell.Key]Size)}
	results := cp.ByCell()
	for _, c := range cp.Plan() {
		switch r := results[c]; {
		case r == nil:
			s.Missing++
			continue
		case !r.Failed():
			s.Rates[c], s.Sizes[c] = *r.PromptEvalRate, Size{r.Size, r.SizeVRAM}
		}
		s.Plan = append(s.Plan, c)
	}
	if v, ok := sweep.VerdictOf(cp); ok {
		s.Noise = v.Noise
	}
	return s, s.check()
}

// Best returns the highest true rate.
func (s *Surface) Best() float64 {
	var best float64
	for _, rate := range s.Rates {
		best = max(best, rate)
	}
	return best
}

// grid returns the size of the plan's grid as text.
func (s *Surface) grid() string {
	ctxs, batches := make(map[int]bool), make(map[int]bool)
	for _, c := range s.Plan {
		ctxs[c.Ctx], batches[c.Batch] = true, true
	}
	return fmt.Sprintf("%d x %d", len(ctxs), len(batches))
}

// column is the highest true rate of one num_ctx.
type column struct {
	ctx  int
	best float64
}

// columns returns the columns in which a cell works, in the plan's order.
func (s *Surface) columns() []column {
	var all []column
	at := make(map[int]int)
	for _, c := range s.Plan {
		rate := s.Rates[c]
		if rate == 0 {
			continue
		}
		i, ok := at[c.Ctx]
		if !ok {
			i, at[c.Ctx] = len(all), len(all)
			all = append(all, column{ctx: c.Ctx})
		}
		all[i].best = max(all[i].best, rate)
	}
	return all
}

// reading draws one measurement of a true rate.
func (s *Surface) reading(rate float64, rng *rand.Rand) float64 {
	rate *= math.Exp(s.Noise * rng.NormFloat64())
	if rng.Float64() < s.OutlierProb {
		rate *= s.OutlierLow + (1-s.OutlierLow)*rng.Float64()
	}
	return rate
}
