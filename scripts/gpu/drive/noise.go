package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// noise repeats prompts of one num_batch after a load without a warm-up, after one with a warm-up, and
// after a pause, and of other num_batch after a warm-up, each with the GPU's state from nvidia-smi.
func (d *drive) noise(ctx context.Context) (headlines []string, err error) {
	if err := d.server.ready(ctx, flashOwn); err != nil {
		return nil, err
	}
	log, err := ollamarun.OpenServerLog(d.server.log)
	if err != nil {
		return nil, err
	}
	d.monitor = ollamarun.StartGPUMonitor(ctx)
	f := d.figures.noise
	p := &prober{
		client: d.server.client(), log: &serverLog{ServerLog: log}, whole: f.tokens, overhead: make(map[string]int),
		text: &texts{Rand: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))},
	}
	type series struct {
		name           string
		batch, repeats int
		before         func(load) error
	}
	reload := func(warmup int) func(load) error {
		return func(l load) error { return d.reload(ctx, p, l, warmup) }
	}
	all := []series{
		{"without warm-up", f.batches[0], f.repeats, reload(0)},
		{"with warm-up", f.batches[0], f.repeats, reload(f.warmup)},
		{"after a pause", f.batches[0], f.repeats / 2, func(load) error { return pause(ctx, time.Duration(f.pause)*time.Second) }},
	}
	for _, batch := range f.batches[1:] {
		all = append(all, series{fmt.Sprintf("num_batch %d", batch), batch, f.repeats, reload(f.warmup)})
	}
	for _, series := range all {
		l := load{modelF16, flashOwn, f.numCtx, series.batch}
		if err := series.before(l); err != nil {
			return headlines, err
		}
		rates, err := d.series(ctx, p, l, series.name, series.repeats)
		headlines = append(headlines, spread(series.name, rates))
		if err != nil {
			return headlines, err
		}
	}
	return headlines, nil
}

// reload unloads the model and loads it again, with a warm-up of this many tokens. The first time it
// also determines the model's overhead.
func (d *drive) reload(ctx context.Context, p *prober, l load, warmup int) error {
	if p.overhead[l.model] == 0 {
		if err := p.begin(ctx, l); err != nil {
			return err
		}
	}
	if err := unload(ctx, p.client); err != nil {
		return err
	}
	if warmup == 0 {
		_, err := generate(ctx, p.client, l.model, "", l.options()) // an empty prompt only loads the model
		if errors.Is(err, errNoFigures) {
			err = nil
		}
		return err
	}
	_, err := p.start(ctx, l, warmup)
	return err
}

var noiseHeader = []string{"series", "prompt", "begun", "tokens", "seconds", "rate", "wall_seconds", "sm_clock_mhz", "power_w", "temperature_c", "memory_mib", "utilization", "throttle"}

// series reads prompts, and saves each reading at once.
func (d *drive) series(ctx context.Context, p *prober, l load, name string, repeats int) (rates []float64, err error) {
	file := d.in("noise", "noise.csv")
	if _, missing := os.Stat(file); missing != nil {
		if err := addRow(file, noiseHeader); err != nil {
			return nil, err
		}
	}
	for i := range repeats {
		begun := time.Now()
		r, err := p.wholePrompt(ctx, l, 0)
		if errors.Is(err, errNoFigures) {
			continue
		}
		if err != nil {
			return rates, err
		}
		ended := time.Now()
		row := []string{name, strconv.Itoa(i + 1), begun.UTC().Format(time.RFC3339Nano), strconv.Itoa(r.tokens), strconv.FormatFloat(r.duration.Seconds(), 'f', 6, 64),
			decimal(r.rate(), 2), strconv.FormatFloat(ended.Sub(begun).Seconds(), 'f', 4, 64)}
		if err := addRow(file, append(row, gpuColumns(d.monitor.Between(begun, ended))...)); err != nil {
			return rates, err
		}
		rates = append(rates, r.rate())
	}
	return rates, nil
}

// gpuColumns returns the columns of the first GPU, blank if there is none.
func gpuColumns(gpus []measurement.GPU) []string {
	if len(gpus) == 0 {
		return make([]string, 6)
	}
	g := gpus[0]
	return []string{strconv.Itoa(g.SMClockMHz), decimal(g.PowerW, 1), strconv.Itoa(g.TemperatureC), strconv.Itoa(g.MemoryMiB), strconv.Itoa(g.Utilization), strings.Join(g.Throttle, "; ")}
}

// addRow appends a row to a CSV file.
func addRow(file string, row []string) error {
	return appendTo(file, func(w io.Writer) error {
		out := csv.NewWriter(w)
		out.Write(row)
		out.Flush()
		return out.Error()
	})
}

// spread summarizes a series, with its first prompt separate from the others.
func spread(name string, rates []float64) string {
	if len(rates) < 3 {
		return fmt.Sprintf("%s: %d prompts", name, len(rates))
	}
	rest := rates[1:]
	middle := verdict.Median(rest)
	sum := 0.0
	for _, r := range rest {
		sum += (r/middle - 1) * (r/middle - 1)
	}
	return fmt.Sprintf("%s: median %.1f tokens/s of %d, standard deviation %.2f %%, first prompt %+.1f %%", name, middle, len(rest), 100*math.Sqrt(sum/float64(len(rest)-1)), 100*(rates[0]/middle-1))
}
