package setup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/report"
)

// clearSaves removes what a killed sweep of an earlier release left of its files but the
// checkpoint: each was written under a name like ".bench.txt2718281828" before it took its own.
func clearSaves(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking into the out folder: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !isSave(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("removing what a killed sweep left: %w", err)
		}
	}
	return nil
}

// isSave reports whether a file has the name of an unfinished save. The number in it is a
// random one of 63 bits: a short one is somebody else's.
func isSave(name string) bool {
	for _, file := range report.Files() {
		digits, ours := strings.CutPrefix(name, "."+file)
		n, err := strconv.ParseInt(digits, 10, 64)
		if ours && err == nil && len(digits) >= 10 && strconv.FormatInt(n, 10) == digits {
			return true
		}
	}
	return false
}
