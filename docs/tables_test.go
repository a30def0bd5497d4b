package docs

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
)

var (
	keyRow   = regexp.MustCompile("(?m)^\\| `(\\w+)` \\|(.*?[^\\\\])\\|")
	flagName = regexp.MustCompile("`-([a-z-]+)")
)

// TestConfigTable: the table has each key with its flags, and no other.
func TestConfigTable(t *testing.T) {
	text := read(t, filepath.Join(root, "docs", "config.md")).text
	var got, want []string
	for _, row := range keyRow.FindAllStringSubmatch(text, -1) {
		line := row[1]
		for _, name := range flagName.FindAllStringSubmatch(row[2], -1) {
			if flag := " -" + name[1]; !strings.HasSuffix(line, flag) { // two forms of one
				line += flag
			}
		}
		got = append(got, line)
	}
	for _, k := range config.Keys() {
		line := k.Name
		for _, flag := range k.Flags {
			line += " -" + flag
		}
		want = append(want, line)
	}
	assert.ElementsMatch(t, want, got)
}

// TestFilesTable: the section on files in docs/results.md names each file of a report.
func TestFilesTable(t *testing.T) {
	_, section, found := strings.Cut(read(t, filepath.Join(root, "docs", "results.md")).text, "\n## Files\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	for _, file := range report.Files() {
		assert.Contains(t, section, "`"+file+"`")
	}
}
