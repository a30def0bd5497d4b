package ollamarun

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// GPUs returns the names of this machine's NVIDIA GPUs, or of those in
// CUDA_VISIBLE_DEVICES, and the version of their driver, as nvidia-smi prints them:
//
//	NVIDIA GeForce RTX 3090, 550.54.14
//
// Both are empty if there is no such command or it does not answer.
func GPUs(ctx context.Context) (names []string, driver string) {
	return parseGPUs(queryGPUs(ctx, "name,driver_version", "csv,noheader"))
}

// queryGPUs returns a line for each GPU, and nothing if no nvidia-smi answers.
func queryGPUs(ctx context.Context, fields, format string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi", smiArgs(fields, format)...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// smiArgs returns the arguments of nvidia-smi. If CUDA_VISIBLE_DEVICES is set, as in a job
// that was given some of a machine's GPUs, only those are queried: they are the ones that a
// server started here uses.
func smiArgs(fields, format string, more ...string) []string {
	args := []string{"--query-gpu=" + fields, "--format=" + format}
	if visible := os.Getenv("CUDA_VISIBLE_DEVICES"); visible != "" {
		args = append(args, "--id="+visible)
	}
	return append(args, more...)
}

// GPUMemory returns the total memory of this machine's NVIDIA GPUs in bytes. nvidia-smi
// prints MiB:
//
//	24576
//
// It is 0 if there is no such command or it does not answer.
func GPUMemory(ctx context.Context) (bytes int64) {
	return sumMiB(queryGPUs(ctx, "memory.total", "csv,noheader,nounits"))
}

// sumMiB adds the figures of lines, in MiB. It leaves out what no GPU can have: nvidia-smi prints "[N/A]"
// for a GPU that shares the machine's memory.
func sumMiB(csv string) (bytes int64) {
	for line := range strings.Lines(csv) {
		if mib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64); err == nil && mib > 0 && mib < 1<<30 {
			bytes += mib << 20
		}
	}
	return bytes
}

// parseGPUs returns the names of lines like "NVIDIA GeForce RTX 3090, 550.54.14", and the version.
func parseGPUs(csv string) (names []string, driver string) {
	for line := range strings.Lines(csv) {
		name, version, ok := strings.Cut(strings.TrimSpace(line), ", ")
		if !ok {
			continue
		}
		names, driver = append(names, name), version
	}
	return names, driver
}
