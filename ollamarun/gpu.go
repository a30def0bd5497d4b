package ollamarun

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// GPUs returns the names of this machine's NVIDIA GPUs, or of those that
// CUDA_VISIBLE_DEVICES names, and their driver's
// version, as nvidia-smi tells them:
//
//	NVIDIA GeForce RTX 3090, 550.54.14
//
// and nothing where there is no such command or it does not answer.
func GPUs(ctx context.Context) (names []string, driver string) {
	return parseGPUs(queryGPUs(ctx, "name,driver_version", "csv,noheader"))
}

// queryGPUs returns a line for each GPU, and nothing where no nvidia-smi answers.
func queryGPUs(ctx context.Context, fields, format string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi", smiArgs(fields, format)...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// smiArgs returns the arguments of nvidia-smi. Where CUDA_VISIBLE_DEVICES names the GPUs
// that a server started here would see, as it does in a job that was given a part of a
// machine's, the others are somebody else's.
func smiArgs(fields, format string, more ...string) []string {
	args := []string{"--query-gpu=" + fields, "--format=" + format}
	if visible := os.Getenv("CUDA_VISIBLE_DEVICES"); visible != "" {
		args = append(args, "--id="+visible)
	}
	return append(args, more...)
}

// GPUMemory returns the bytes of memory of this machine's NVIDIA GPUs together, as
// nvidia-smi tells them in MiB:
//
//	24576
//
// and 0 where there is no such command or it does not answer.
func GPUMemory(ctx context.Context) (bytes int64) {
	return sumMiB(queryGPUs(ctx, "memory.total", "csv,noheader,nounits"))
}

func sumMiB(csv string) (bytes int64) {
	for line := range strings.Lines(csv) {
		if mib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64); err == nil && mib > 0 && mib < 1<<30 {
			bytes += mib << 20
		}
	}
	return bytes
}

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
