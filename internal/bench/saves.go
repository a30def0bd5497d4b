package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// clearSaves removes what a killed sweep left of its saves: each file is written
// under the name ".bench.txt2718281828" before it takes its own.
func clearSaves(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking into the out folder: %w", err)
	}
	for _, e := range entries {
		for _, file := range append(report.Files(), sweep.FileName) {
			digits, ours := strings.CutPrefix(e.Name(), "."+file)
			if _, err := strconv.ParseUint(digits, 10, 64); !ours || err != nil {
				continue
			}
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("removing what a killed sweep left: %w", err)
			}
		}
	}
	return nil
}
