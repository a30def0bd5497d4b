package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/ollamarun"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// The models.
const (
	modelF16 = "random-f16"
	modelQ8  = "random-q8"
)

// stages returns all stages, the most useful first.
func (d *drive) stages() []stage {
	base := []string{"build", "model", "server"}
	return []stage{
		{name: "machine", weight: 0.1, least: 5 * time.Second, run: d.machine},
		{name: "build", run: d.build},
		{name: "model", run: d.model},
		{name: "server", needs: []string{"build", "model"}, run: d.startServer},
		{name: "sweep", weight: 18, least: 40 * time.Second, needs: base, run: d.sweeps},
		{name: "probes", weight: 10, least: 40 * time.Second, needs: base, run: d.probe},
		{name: "failures", weight: 4, least: 20 * time.Second, needs: base, run: d.failures},
		{name: "noise", weight: 3, least: 20 * time.Second, needs: base, run: d.noise},
		{name: "best", weight: 4, least: 20 * time.Second, needs: base, run: d.search("best")},
		{name: "frontier", weight: 6, least: 30 * time.Second, needs: base, run: d.search("frontier")},
		{name: "settings", weight: 12, least: 30 * time.Second, needs: base, run: d.settings},
		{name: "memory", weight: 0.5, least: 5 * time.Second, needs: base, run: d.memory},
	}
}

// machine saves a description of the machine.
func (d *drive) machine(ctx context.Context) ([]string, error) {
	for name, command := range map[string]string{
		"nvidia-smi.txt":         "nvidia-smi",
		"nvidia-smi-q.txt":       "nvidia-smi -q",
		"nvidia-smi-gpus.txt":    "nvidia-smi --query-gpu=name,driver_version --format=csv,noheader",
		"nvidia-smi-memory.txt":  "nvidia-smi --query-gpu=memory.total --format=csv,noheader,nounits",
		"nvidia-smi-reasons.txt": "nvidia-smi --query-gpu=index,clocks_throttle_reasons.active --format=csv,noheader; nvidia-smi --query-gpu=index,clocks_event_reasons.active --format=csv,noheader",
		"nvcc.txt":               "nvcc --version",
		"cpu.txt":                "lscpu; free -m; df -h; uname -a",
	} {
		logged(ctx, exec.Command("sh", "-c", command), d.in("machine", name)) // if a command is missing, its file says so
	}
	names, driver := ollamarun.GPUs(ctx)
	if len(names) == 0 {
		return []string{"no GPU found with nvidia-smi"}, nil
	}
	return []string{fmt.Sprintf("%s, driver %s, %d MiB", strings.Join(names, ", "), driver, ollamarun.GPUMemory(ctx)>>20)}, nil
}

// sampleGPUs logs the state of the GPUs to a file until the context ends.
func (d *drive) sampleGPUs(ctx context.Context) {
	const fields = "timestamp,index,temperature.gpu,clocks.sm,clocks.mem,power.draw,memory.used,memory.free,utilization.gpu,pstate,clocks_event_reasons.active"
	logged(ctx, exec.Command("nvidia-smi", "--query-gpu="+fields, "--format=csv", "-lms", "500"), d.in("nvidia-smi.csv"))
}

// build runs the bundle's script, which builds the server or unpacks one built before.
func (d *drive) build(ctx context.Context) ([]string, error) {
	file := d.in("logs", "build.txt")
	err := logged(ctx, exec.Command(filepath.Join(d.bundle, "build"), filepath.Join(d.work, "ollama"), d.out), file)
	headlines := lastLines(file, 20)
	if err != nil {
		return headlines, err
	}
	if _, err := os.Stat(d.server.ollama); err != nil {
		return headlines, fmt.Errorf("build made no server: %w", err)
	}
	return headlines, nil
}

// model writes the models into the server's model folder.
func (d *drive) model(ctx context.Context) (headlines []string, err error) {
	for _, m := range []struct{ name, kind string }{{modelF16, "f16"}, {modelQ8, "q8_0"}} {
		args := append([]string{"-models", d.server.models, "-name", m.name, "-type", m.kind}, d.figures.shape...)
		begun := time.Now()
		if err := logged(ctx, exec.Command(filepath.Join(d.bundle, "model"), args...), d.in("logs", "model.txt")); err != nil {
			return headlines, err
		}
		headlines = append(headlines, fmt.Sprintf("%s written in %.1f s", m.name, time.Since(begun).Seconds()))
	}
	return headlines, nil
}

// startServer starts the server, and sends a prompt to each model.
func (d *drive) startServer(ctx context.Context) (headlines []string, err error) {
	if err := d.server.ensure(ctx, flashOwn); err != nil {
		return nil, err
	}
	devices, err := d.server.devices(ctx)
	if err != nil {
		return nil, err
	}
	headlines = append(headlines, "computes on "+strings.Join(devices, ", "))
	if !d.small && !slices.ContainsFunc(devices, func(name string) bool { return name != parse.CPU }) {
		return headlines, errors.New("the server finds no GPU")
	}
	for _, model := range []string{modelF16, modelQ8} {
		begun := time.Now()
		answer, err := generate(ctx, d.server.client(), model, "hello", map[string]any{"num_ctx": 4096, "num_predict": 1})
		if err != nil {
			return headlines, fmt.Errorf("the first prompt of %s: %w", model, err)
		}
		headlines = append(headlines, fmt.Sprintf("%s: first prompt after %.1f s, load %.1f s", model, time.Since(begun).Seconds(), answer.LoadDuration.Seconds()))
	}
	version, err := d.server.client().Version(ctx)
	return append(headlines, "Ollama "+version), err
}

// lastLines returns the last n lines of a file, none if it can't be read.
func lastLines(file string, n int) []string {
	text, _ := os.ReadFile(file)
	var lines []string
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.TrimRight(line, "\n"))
	}
	return lines[max(0, len(lines)-n):]
}
