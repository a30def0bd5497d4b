package ollamarun

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

// GPUs returns the names of this machine's NVIDIA GPUs and their driver's
// version, as nvidia-smi tells them:
//
//	NVIDIA GeForce RTX 3090, 550.54.14
//
// and nothing where there is no such command or it does not answer.
func GPUs(ctx context.Context) (names []string, driver string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader").Output()
	if err != nil {
		return nil, ""
	}
	return parseGPUs(string(out))
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
