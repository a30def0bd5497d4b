package survives

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// TestPromisesHaveTests: the tests that docs/reliability.md names for each promise exist.
func TestPromisesHaveTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(sweeptest.Root, "docs", "reliability.md"))
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(page), "\n## Fault tolerance\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var tests strings.Builder
	for _, pattern := range []string{"internal/*/*_test.go", "internal/test/*/*_test.go", "ollamarun/*_test.go", "scripts/*/*_test.go"} {
		files, err := filepath.Glob(filepath.Join(sweeptest.Root, pattern))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			tests.Write(text)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| [A-Z].* \\| (`.*`) \\|$").FindAllStringSubmatch(section, -1)
	require.NotEmpty(t, rows)
	for _, row := range rows {
		for name := range strings.FieldsFuncSeq(row[1], func(r rune) bool { return r == '`' || r == ' ' }) {
			assert.True(t, strings.Contains(tests.String(), "func Test"+name+"("), "no test %s", name)
		}
	}
}
