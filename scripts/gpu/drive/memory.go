package main

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

var memoryHeader = []string{"num_ctx", "num_batch", "planned_weights_mib", "planned_kv_mib", "planned_compute_mib", "log_model_mib", "log_context_mib", "log_compute_mib", "planned_mib", "size_mib", "size_vram_mib", "gpu_layers", "layers"}

// memory compares the memory planned from the model's figures alone with what the server reports for each
// load of the sweep.
func (d *drive) memory(ctx context.Context) ([]string, error) {
	if err := d.server.ensure(ctx, flashOwn); err != nil {
		return nil, err
	}
	server := &ollamarun.Server{URL: d.server.url}
	info, weights, err := server.ModelInfo(ctx, modelF16)
	if err != nil {
		return nil, err
	}
	model, err := memory.FromInfo(info, weights)
	if err != nil {
		return nil, err
	}
	cp, err := d.checkpoint("sweep")
	if err != nil {
		return nil, err
	}
	file := d.in("memory", "memory.csv")
	if err := addRow(file, memoryHeader); err != nil {
		return nil, err
	}
	var sizes, contexts, computes deviation
	for i := range cp.Results {
		r := &cp.Results[i]
		need := model.Of(r.NumCtx, r.NumBatch, memory.Settings{}.FromServer(cp.Sweep.Settings))
		if err := addRow(file, memoryRow(r, need)); err != nil {
			return nil, err
		}
		sizes.add(need.Total(), mib(r.Size))
		if r.Memory != nil {
			reported := r.Memory.Sum()
			contexts.add(need.KV, reported.ContextMiB)
			computes.add(need.Compute, reported.ComputeMiB)
		}
	}
	return []string{"planned against size: " + sizes.String(), "planned against the log's context: " + contexts.String(), "planned against the log's compute buffers: " + computes.String()}, nil
}

func memoryRow(r *checkpoint.Result, need memory.Need) []string {
	row := []string{strconv.Itoa(r.NumCtx), strconv.Itoa(r.NumBatch), decimal(mib(need.Weights), 1), decimal(mib(need.KV), 1), decimal(mib(need.Compute), 1)}
	if r.Memory == nil {
		row = append(row, "", "", "")
	} else {
		reported := r.Memory.Sum()
		row = append(row, decimal(reported.ModelMiB, 1), decimal(reported.ContextMiB, 1), decimal(reported.ComputeMiB, 1))
	}
	row = append(row, decimal(mib(need.Total()), 1), decimal(mib(r.Size), 1), decimal(mib(r.SizeVRAM), 1))
	if r.Memory == nil {
		return append(row, "", "")
	}
	return append(row, strconv.Itoa(r.Memory.GPULayers), strconv.Itoa(r.Memory.Layers))
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// deviation is the range of the relative deviations of planned figures from reported ones.
type deviation struct {
	low, high float64
	n         int
}

func (d *deviation) add(planned int64, reportedMiB float64) {
	if reportedMiB <= 0 {
		return
	}
	by := mib(planned)/reportedMiB - 1
	if d.n == 0 {
		d.low, d.high = math.Inf(1), math.Inf(-1)
	}
	d.low, d.high = min(d.low, by), max(d.high, by)
	d.n++
}

func (d *deviation) String() string {
	if d.n == 0 {
		return "not reported"
	}
	return fmt.Sprintf("%+.1f to %+.1f %% in %d cells", 100*d.low, 100*d.high, d.n)
}
