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

// drive is a run.
type drive struct {
	bundle, out, work string
	record            string // folder in work of what is brought home
	scratch           bool   // work is removed in the end
	small             bool
	figures           figures
	schedule          schedule
	say               io.Writer

	server  *server
	monitor *ollamarun.GPUMonitor

	mu       sync.Mutex // of what follows, and of the out folder
	outcomes []outcome
	leftOut  []string
}

const (
	archiveName = "run.tar.gz"
	summaryName = "summary.txt"
	// packEvery is how often the archive is renewed while a stage is at work.
	packEvery = 20 * time.Second
)

// newDrive makes the folders.
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
		return nil, fmt.Errorf("the bundle: %w", err)
	}
	d.record = filepath.Join(d.work, "record")
	d.server = &server{
		ollama: filepath.Join(d.work, "ollama", "bin", "ollama"),
		models: filepath.Join(d.work, "models"),
		home:   filepath.Join(d.work, "home"),
		logs:   filepath.Join(d.record, "logs"),
	}
	return d, errors.Join(os.MkdirAll(d.out, 0o755), os.MkdirAll(d.server.logs, 0o755), d.writeConfigs())
}

// run runs the stages, and returns the exit code.
func (d *drive) run(ctx context.Context) int {
	d.bringHome()
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { d.sampleGPUs(watching) })
	watch.Go(func() { d.packAgain(watching) })
	outcomes := d.schedule.run(ctx)
	d.server.stop()
	d.monitor.Close()
	stop()
	watch.Wait()
	d.bringHome()
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

// note brings home what there is after a stage.
func (d *drive) note(outcomes []outcome) {
	d.mu.Lock()
	d.outcomes = outcomes
	d.mu.Unlock()
	if len(outcomes) > 0 {
		last := outcomes[len(outcomes)-1]
		fmt.Fprintf(d.say, "# %s %s in %.1f s %s\n", last.stage, last.state, last.took.Seconds(), last.why)
	}
	d.bringHome()
}

// bringHome renews the archive and the summary.
func (d *drive) bringHome() {
	d.mu.Lock()
	defer d.mu.Unlock()
	leftOut, err := pack(d.record, filepath.Join(d.out, archiveName), mostArchive)
	d.leftOut = leftOut
	text := summary(d.outcomes, d.leftOut, err)
	if err := replace(filepath.Join(d.out, summaryName), text); err != nil {
		fmt.Fprintf(d.say, "# writing the summary: %v\n", err)
	}
}

func (d *drive) packAgain(ctx context.Context) {
	tick := time.NewTicker(packEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.bringHome()
		}
	}
}

// in is a path in the record.
func (d *drive) in(parts ...string) string {
	return filepath.Join(append([]string{d.record}, parts...)...)
}
