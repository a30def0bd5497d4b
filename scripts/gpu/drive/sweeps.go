package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// The configs of the sweeps: for the large model and, in folder small, for a rehearsal.
//
//go:embed configs
var configs embed.FS

// writeConfigs writes the configs into the results folder.
func (d *drive) writeConfigs() error {
	from := "configs"
	if d.small {
		from = "configs/small"
	}
	entries, err := fs.ReadDir(configs, from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		text, err := configs.ReadFile(path.Join(from, entry.Name()))
		if err != nil {
			return err
		}
		if err := save(d.in("configs", entry.Name()), text); err != nil {
			return err
		}
	}
	return nil
}

// sweeps runs a sweep with each runner, and one with a small num_ctx.
func (d *drive) sweeps(ctx context.Context) (headlines []string, err error) {
	var failures []error
	for _, part := range []struct {
		name  string
		share float64 // of the remaining time
	}{{"sweep", 0.9}, {"cli", 0.6}, {"sweep-4096", 1}} {
		if err := d.server.ready(ctx, flashOwn); err != nil {
			return headlines, errors.Join(append(failures, err)...)
		}
		text, err := d.sweep(ctx, part.name, part.share)
		headlines, failures = append(headlines, text...), append(failures, err)
	}
	return headlines, errors.Join(failures...)
}

// sweep runs the harness on a config, with this server.
func (d *drive) sweep(ctx context.Context, name string, share float64) (headlines []string, err error) {
	return d.harness(ctx, name, share, "-host", d.server.url.String(), "-server-log", d.server.log)
}

// harness runs the harness on a config, whose server is the one of the flags, or one that the harness
// starts. It begins no cell after its share of the remaining time. If the harness fails, that is a headline
// and not an error, since missing cells are expected.
func (d *drive) harness(ctx context.Context, name string, share float64, flags ...string) (headlines []string, err error) {
	args := append([]string{"-test.run", "Sweep", "-test.timeout", "0", "-config", d.in("configs", name+".yaml"), "-out", d.in(name),
		"-ollama", d.server.ollama}, flags...)
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end) - savingTime
		args = append(args, "-budget", max(time.Second, time.Duration(share*float64(left))).Round(time.Second).String())
	}
	cmd := exec.Command(filepath.Join(d.bundle, "sweep.test"), args...)
	cmd.Dir = d.work
	cmd.Env = append(os.Environ(), "OLLAMA_MODELS="+d.server.models)
	begun := time.Now()
	failure := logged(ctx, cmd, d.in("logs", name+".txt"))
	took := time.Since(begun)
	headlines = []string{fmt.Sprintf("%s: exit %d in %.1f s", name, cmd.ProcessState.ExitCode(), took.Seconds())}
	if failure != nil && ctx.Err() == nil {
		headlines = append(headlines, "  "+failure.Error())
	}
	cp, err := d.checkpoint(name)
	if err != nil {
		return headlines, err
	}
	return append(headlines, describeSweep(cp)...), nil
}

// checkpoint reads the checkpoint of a sweep.
func (d *drive) checkpoint(name string) (*checkpoint.Checkpoint, error) {
	return checkpoint.Load(d.in(name, checkpoint.FileName))
}

// describeSweep summarizes what a sweep has found.
func describeSweep(cp *checkpoint.Checkpoint) (text []string) {
	measured, failures, samples, verified := 0, 0, 0, 0
	for i := range cp.Results {
		r := &cp.Results[i]
		if r.Failed() {
			failures++
		} else {
			measured++
		}
		if r.Settings == checkpoint.SettingsVerified {
			verified++
		}
		samples += len(r.Samples)
	}
	text = append(text, fmt.Sprintf("  %d cells measured, %d failed, %d samples, settings of %d cells verified", measured, failures, samples, verified))
	v, ok := sweep.VerdictOf(cp)
	if !ok {
		return text
	}
	best, recommended := v.Best, v.Recommended
	text = append(text, fmt.Sprintf("  highest %.1f tokens/s at %s; recommended %s; a sample scatters by %.2f %%",
		best.Median(), best.Text(), recommended.Text(), 100*sweep.Noise(cp)))
	if v.Gain != nil {
		text = append(text, fmt.Sprintf("  over the server's own num_batch: %+.1f %% (%.1f to %.1f)", 100*v.Gain.Ratio, 100*v.Gain.Low, 100*v.Gain.High))
	}
	return text
}
