package docs

import (
	"flag"
	"path/filepath"
	"reflect"
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

// TestConfigTable: the table of docs/config.md has all keys and all flags.
func TestConfigTable(t *testing.T) {
	text := read(t, filepath.Join(root, "docs", "config.md")).text
	var keys, flags []string
	for _, row := range keyRow.FindAllStringSubmatch(text, -1) {
		keys = append(keys, row[1])
		for _, name := range flagName.FindAllStringSubmatch(row[2], -1) {
			flags = append(flags, name[1])
		}
	}
	assert.ElementsMatch(t, configKeys(), keys)
	assert.ElementsMatch(t, configFlags(), unique(flags))
}

func configKeys() (keys []string) {
	for field := range reflect.TypeFor[config.Config]().Fields() {
		if key := field.Tag.Get("yaml"); key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}

func configFlags() (names []string) {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	new(config.Overrides).Register(set)
	set.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}

func unique(values []string) (all []string) {
	seen := make(map[string]bool)
	for _, v := range values {
		if !seen[v] {
			all = append(all, v)
		}
		seen[v] = true
	}
	return all
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
