package setup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/report"
)

// clearSaves removes the temporary files that a killed sweep of an earlier release left. Their names
// are like ".bench.txt2718281828". That of the checkpoint is not among them.
func clearSaves(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading the out folder: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !isSave(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("removing a file that a killed sweep left: %w", err)
		}
	}
	return nil
}

// isSave reports whether a file has the name of such a temporary file. Its number is a random one of
// 63 bits: a file with a short one belongs to somebody else.
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
