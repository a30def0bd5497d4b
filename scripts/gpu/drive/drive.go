package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// drive is a run of all stages.
type drive struct {
	bundle, out, work string // folders
	results           string // folder in work whose files go into the archive
	scratch           bool   // work is removed at the end
	small             bool
	figures           figures
	schedule          schedule
	progress          io.Writer

	server  *server
	monitor *ollamarun.GPUMonitor

	mu       sync.Mutex // guards the fields below, and the out folder
	outcomes []outcome
	leftOut  []string
}

const (
	archiveName = "run.tar.gz"
	summaryName = "summary.txt"
	// publishEvery is the interval at which the archive is replaced while a stage runs.
	publishEvery = 20 * time.Second
)

// newDrive returns a run and makes its folders.
func newDrive(bundle, out, work string, small bool) (*drive, error) {
	d := &drive{small: small, figures: large}
	if small {
		d.figures = tiny
	}
	var err error
	if work == "" {
		d.scratch = true
		if work, err = os.MkdirTemp("", "drive-"); err != nil {
			return nil, err
		}
	}
	for _, path := range []struct {
		given string
		into  *string
	}{{bundle, &d.bundle}, {out, &d.out}, {work, &d.work}} {
		if *path.into, err = filepath.Abs(path.given); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(d.bundle); err != nil {
		return nil, fmt.Errorf("opening the bundle: %w", err)
	}
	d.results = filepath.Join(d.work, "record")
	d.server = &server{
		ollama: filepath.Join(d.work, "ollama", "bin", "ollama"),
		models: filepath.Join(d.work, "models"),
		home:   filepath.Join(d.work, "home"),
		logs:   filepath.Join(d.results, "logs"),
	}
	return d, errors.Join(os.MkdirAll(d.out, 0o755), os.MkdirAll(d.server.logs, 0o755), d.writeConfigs())
}

// run runs the stages, and returns the exit code.
func (d *drive) run(ctx context.Context) int {
	d.publish()
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { d.sampleGPUs(watching) })
	watch.Go(func() { d.publishRegularly(watching) })
	outcomes := d.schedule.run(ctx)
	d.server.stop()
	d.monitor.Close()
	stop()
	watch.Wait()
	d.publish()
	if d.scratch {
		os.RemoveAll(d.work)
	}
	for _, o := range outcomes {
		if o.state == failed {
			return 1
		}
	}
	return 0
}

// stageDone reports the last of the outcomes, and publishes the results so far.
func (d *drive) stageDone(outcomes []outcome) {
	d.mu.Lock()
	d.outcomes = outcomes
	d.mu.Unlock()
	if len(outcomes) > 0 {
		last := outcomes[len(outcomes)-1]
		fmt.Fprintf(d.progress, "%s %s in %.1f s %s\n", last.stage, last.state, last.took.Seconds(), last.why)
	}
	d.publish()
}

// publish writes the archive and the summary of the results so far to the out folder.
func (d *drive) publish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	leftOut, err := pack(d.results, filepath.Join(d.out, archiveName), maxArchive)
	d.leftOut = leftOut
	text := summary(d.outcomes, d.leftOut, err)
	if err := replace(filepath.Join(d.out, summaryName), text); err != nil {
		fmt.Fprintf(d.progress, "writing the summary: %v\n", err)
	}
}

func (d *drive) publishRegularly(ctx context.Context) {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.publish()
		}
	}
}

// in returns a path in the results folder.
func (d *drive) in(parts ...string) string {
	return filepath.Join(append([]string{d.results}, parts...)...)
}
