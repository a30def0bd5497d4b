package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// search returns a stage that runs a search on the grid of the sweep, and compares it with the sweep. Its
// name is the strategy's and its config's.
func (d *drive) search(name string) func(context.Context) ([]string, error) {
	return func(ctx context.Context) (headlines []string, err error) {
		if err := d.server.ready(ctx, flashOwn); err != nil {
			return nil, err
		}
		headlines, err = d.sweep(ctx, name, 1)
		if err != nil {
			return headlines, err
		}
		text, err := d.againstGrid(name, "sweep")
		return append(headlines, text...), err
	}
}

// settings sweeps a grid with settings as axes, and runs a search on it.
func (d *drive) settings(ctx context.Context) (headlines []string, err error) {
	if err := d.server.ready(ctx, flashOwn); err != nil {
		return nil, err
	}
	headlines, err = d.harness(ctx, "settings", 0.7)
	if err != nil {
		return headlines, err
	}
	text, err := d.harness(ctx, "settings-best", 1)
	headlines = append(headlines, text...)
	if err != nil {
		return headlines, err
	}
	text, err = d.againstGrid("settings-best", "settings")
	return append(headlines, text...), err
}

// againstGrid compares a search with the sweep of its whole grid, and saves the comparison.
func (d *drive) againstGrid(search, whole string) ([]string, error) {
	found, err := d.checkpoint(search)
	if err != nil {
		return nil, err
	}
	grid, err := d.checkpoint(whole)
	if err != nil {
		return []string{"no grid to compare it with: " + err.Error()}, nil
	}
	text := compareWithGrid(found, grid)
	return text, save(d.in(search, "against-grid.txt"), []byte(strings.Join(text, "\n")+"\n"))
}

// compareWithGrid reports the cost of a search, and how much slower the cell that it recommends is than
// the grid's fastest cell, by the rates of the grid.
func compareWithGrid(found, grid *checkpoint.Checkpoint) (text []string) {
	search, all := cost(found).Seconds(), cost(grid).Seconds()
	text = append(text, fmt.Sprintf("  %d cells of %d; loads and prompts, with auxiliary measurements, took %.1f s instead of %.1f s: %.0f %%",
		len(found.Results), len(grid.Results), search, all, 100*quotient(search, all)))
	v, ok := sweep.VerdictOf(found)
	truth, measured := sweep.VerdictOf(grid)
	if !ok || !measured {
		return append(text, "  no cell is recommended")
	}
	recommended := grid.Result(v.Recommended.Key)
	if recommended == nil || recommended.PromptEvalRate == nil {
		return append(text, "  the grid has no rate for the cell that the search recommends")
	}
	highest := truth.Best.Median()
	return append(text, fmt.Sprintf("  recommended %s: %.1f tokens/s in the grid, whose highest is %.1f: regret %.2f %%",
		v.Recommended.Text(), *recommended.PromptEvalRate, highest, 100*(1-*recommended.PromptEvalRate/highest)))
}

// cost returns the total duration of all loads and prompts, as the server reports it.
func cost(cp *checkpoint.Checkpoint) (sum time.Duration) {
	for i := range cp.Results {
		sum += costOf(&cp.Results[i])
	}
	for i := range cp.Auxiliary {
		sum += costOf(&cp.Auxiliary[i].Result)
	}
	return sum
}

func costOf(r *checkpoint.Result) (sum time.Duration) {
	if r.Warmup != nil {
		sum += r.Warmup.TotalDuration // which includes the load
	}
	for _, s := range r.Samples {
		sum += s.TotalDuration
	}
	return sum
}
