package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// probe compares passes of b tokens in one load with direct loads of each num_batch, for both types of
// weights, with flash attention on and off.
func (d *drive) probe(ctx context.Context) (headlines []string, err error) {
	f := d.figures.probes
	var readings []reading
	onReading := func(r reading) error {
		readings = append(readings, r)
		return d.addReading(r)
	}
	all := []load{{model: modelQ8, flash: flashOn}, {model: modelQ8, flash: flashOff}, {model: modelF16, flash: flashOff}, {model: modelF16, flash: flashOn}}
	for n, l := range all {
		l.numCtx, l.numBatch = f.numCtx, f.batches[len(f.batches)-1]
		batches := f.batches
		if n < len(all)-1 {
			batches = f.fewer
		}
		begun := time.Now()
		if err = d.combination(ctx, l, batches, onReading); err != nil {
			break
		}
		headlines = append(headlines, fmt.Sprintf("%s, flash attention %s: %.1f s", l.model, l.flash, time.Since(begun).Seconds()))
	}
	compared := ratios(readings, f.batches[len(f.batches)-1])
	text := table(compared)
	if saveErr := d.saveRatios(compared, text); err == nil {
		err = saveErr
	}
	return append(headlines, text...), err
}

func (d *drive) combination(ctx context.Context, l load, batches []int, onReading func(reading) error) error {
	f := d.figures.probes
	if err := d.server.ready(ctx, l.flash); err != nil {
		return err
	}
	log, err := ollamarun.OpenServerLog(d.server.log)
	if err != nil {
		return err
	}
	p := &prober{
		client: d.server.client(), log: &serverLog{ServerLog: log}, onReading: onReading, depth: f.depth, whole: f.whole, overhead: make(map[string]int),
		text: &texts{Rand: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))},
	}
	return p.combination(ctx, l, batches, f.repeats, f.leastPieces)
}

// addReading appends a reading to the file of all readings.
func (d *drive) addReading(r reading) error {
	file := d.in("probes", "readings.csv")
	if _, missing := os.Stat(file); missing != nil {
		if err := addRow(file, readingsHeader); err != nil {
			return err
		}
	}
	return addRow(file, r.row())
}

func (d *drive) saveRatios(all []ratio, text []string) error {
	var b strings.Builder
	if err := writeRatios(&b, all); err != nil {
		return err
	}
	if err := save(d.in("probes", "ratios.csv"), []byte(b.String())); err != nil {
		return err
	}
	return save(d.in("probes", "ratios.txt"), []byte(strings.Join(text, "\n")+"\n"))
}
