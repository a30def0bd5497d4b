package plan

import (
	"math"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// source is where an estimate of memory comes from.
type source int

// The sources, each better than the one before.
const (
	unknown   source = iota
	fromModel        // the model's figures of /api/show
	fromSizes        // the same, scaled to the sizes in /api/ps
	fromLog          // the buffer sizes in the server's log, of the cells that were loaded
)

// forecast estimates the memory that a loaded cell needs.
type forecast struct {
	source   source
	cells    int           // how many the estimate is based on
	model    *memory.Model // nil where it is not known
	settings memory.Settings
	fixed    map[string]string // settings that have one value in the sweep
	// flashGiven means that the config sets flash attention in every cell.
	flashGiven bool
	scale      float64 // of the total, from sizes

	// From the log: the weights in bytes, and the ratios of context and compute buffers to the
	// model's estimate, or the lines fitted to them where there is no estimate.
	weights                   float64
	contextScale, bufferScale float64
	context, buffers          line
}

// logged is the memory of a loaded cell by the server's log, in bytes.
type logged struct {
	ctx, batch                float64 // a batch is at most its num_ctx
	cell                      cell.Key
	weights, context, buffers float64
}

// makeForecast uses the best source available.
func (p *Plan) makeForecast() forecast {
	f := forecast{model: p.Model, settings: p.Settings, fixed: p.Config.Fixed(), scale: 1}
	f.flashGiven = f.fixed["flash_attention"] != "" || slices.ContainsFunc(p.axes, func(a cell.SettingAxis) bool {
		return a.Name == "flash_attention" && !slices.Contains(a.Values, cell.Auto)
	})
	if p.Model != nil {
		f.source = fromModel
	}
	if p.Checkpoint == nil {
		return f
	}
	cells := loggedCells(p.Checkpoint, p.Model)
	if len(cells) > 0 && (p.Model != nil || f.linesFrom(cells)) {
		f.fromLog(cells)
		return f
	}
	f.fromSizes(p.Checkpoint)
	return f
}

// loggedCells returns the cells whose buffers are all in the log. Where all layers are on GPUs, the figures are
// those of the GPUs, without the input's weights and the copies in the host's memory. Where a part of the
// layers is, the log's figure of the host can contain the weights of all layers, since their file is mapped: all
// weights are at most the model's.
func loggedCells(cp *checkpoint.Checkpoint, model *memory.Model) []logged {
	const mib = 1 << 20
	var cells []logged
	for i := range cp.Results {
		r := &cp.Results[i]
		if r.Failed() || r.Memory == nil || len(r.Memory.Devices) == 0 {
			continue
		}
		sum, _ := r.Memory.Whole()
		if model != nil && model.Weights > 0 {
			sum.ModelMiB = min(sum.ModelMiB, float64(model.Weights)/mib)
		}
		cells = append(cells, logged{float64(r.NumCtx), float64(min(r.NumBatch, r.NumCtx)), r.Cell(), mib * sum.ModelMiB, mib * sum.ContextMiB, mib * sum.ComputeMiB})
	}
	return cells
}

// fromSizes scales the model's estimate to the sizes of loaded models.
func (f *forecast) fromSizes(cp *checkpoint.Checkpoint) {
	if f.model == nil {
		return
	}
	var ratios []float64
	for i := range cp.Results {
		r := &cp.Results[i]
		if r.Size > 0 && !r.Failed() {
			ratios = append(ratios, float64(r.Size)/float64(f.model.Of(r.NumCtx, r.NumBatch, f.settingsOf(r.Cell().Settings).Settings).Total()))
		}
	}
	if len(ratios) > 0 {
		f.source, f.scale, f.cells = fromSizes, verdict.Median(ratios), len(ratios)
	}
}

// fromLog scales each part of the model's estimate to the log's figures. The log does not
// report flash attention: it is assumed to be on or off, whichever fits the compute buffers
// better.
func (f *forecast) fromLog(cells []logged) {
	f.source, f.cells = fromLog, len(cells)
	var weights []float64
	for _, c := range cells {
		weights = append(weights, c.weights)
	}
	f.weights = verdict.Median(weights)
	if f.model == nil {
		return
	}
	misfit := math.Inf(1)
	given := f.settings
	for _, off := range []bool{given.FlashOff, !given.FlashOff} {
		tried := *f
		tried.settings.FlashOff = off
		var contexts, buffers []float64
		for _, c := range cells {
			need := f.model.Of(c.cell.Ctx, c.cell.Batch, tried.settingsOf(c.cell.Settings).Settings)
			contexts, buffers = append(contexts, ratio(c.context, need.KV)), append(buffers, ratio(c.buffers, need.Compute))
		}
		if m := spread(buffers); m < misfit-1e-9 {
			misfit = m
			f.settings, f.contextScale, f.bufferScale = tried.settings, verdict.Median(contexts), verdict.Median(buffers)
		}
	}
}

// ratio returns a measured size relative to an estimated one, 1 where either is not positive.
func ratio(measured float64, estimated int64) float64 {
	if measured <= 0 || estimated <= 0 {
		return 1
	}
	return measured / float64(estimated)
}

// spread is the mean absolute logarithm of ratios: how far they are from 1.
func spread(ratios []float64) float64 {
	sum := 0.0
	for _, r := range ratios {
		sum += math.Abs(math.Log(r))
	}
	return sum / float64(len(ratios))
}

// line is a size that grows linearly.
type line struct{ base, slope float64 }

func (l line) at(x float64) float64 { return l.base + l.slope*x }

// linesFrom fits the sizes of a model without an estimate: the context, and the compute
// buffers per token of a batch, each as a line over num_ctx. It needs two num_ctx.
func (f *forecast) linesFrom(cells []logged) bool {
	var ctx, context, buffers []float64
	for _, c := range cells {
		ctx, context, buffers = append(ctx, c.ctx), append(context, c.context), append(buffers, c.buffers/c.batch)
	}
	if slices.Min(ctx) == slices.Max(ctx) {
		return false
	}
	f.context, f.buffers = fit(ctx, context), fit(ctx, buffers)
	return true
}

// fit returns the least squares line, with base and slope not negative.
func fit(xs, ys []float64) line {
	n := float64(len(xs))
	var sumX, sumY, sumXX, sumXY float64
	for i, x := range xs {
		sumX, sumY, sumXX, sumXY = sumX+x, sumY+ys[i], sumXX+x*x, sumXY+x*ys[i]
	}
	slope := max(0, (n*sumXY-sumX*sumY)/(n*sumXX-sumX*sumX))
	base := (sumY - slope*sumX) / n
	if base < 0 {
		return line{slope: sumXY / sumXX}
	}
	return line{base, slope}
}

// of returns the memory that a loaded cell needs, by part; where num_gpu is set, the part of it that is in
// GPU memory. The scale from sizes is that of the total and is not applied to the parts.
func (f *forecast) of(c cell.Key) memory.Need {
	if f.model == nil {
		ctx, batch := float64(c.Ctx), float64(min(c.Batch, c.Ctx))
		return memory.Need{Weights: int64(f.weights), KV: int64(f.context.at(ctx)), Compute: int64(batch * f.buffers.at(ctx))}
	}
	s := f.settingsOf(c.Settings)
	need := f.model.Of(c.Ctx, c.Batch, s.Settings)
	if f.source == fromLog {
		need = memory.Need{Weights: int64(f.weights), KV: int64(f.contextScale * float64(need.KV)), Compute: int64(f.bufferScale * float64(need.Compute))}
	}
	return s.onGPUs(need, f.model.Layers)
}

// size returns the bytes that a loaded cell is expected to need.
func (f *forecast) size(c cell.Key) int64 { return int64(f.scale * float64(f.of(c).Total())) }
