package survives

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// TestSurvivesCheckpointsOfEarlierReleases resumes the checkpoints that sweeps wrote before there were axes
// besides num_ctx and num_batch: whole, stopped and killed ones, searches, a shard. What is measured, in
// which order, and the result are those of that release, which wrote the golden.
func TestSurvivesCheckpointsOfEarlierReleases(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	const dir = "../../checkpoint/testdata/version1"
	configs, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, configs)
	for _, config := range configs {
		name := strings.TrimSuffix(filepath.Base(config), ".yaml")
		t.Run(name, func(t *testing.T) {
			if ended := slices.Contains([]string{"auxiliary", "frontier", "probed", "searched"}, name); ended && !*long {
				t.Skip("nothing is left to measure: run with -long")
			}
			var b strings.Builder
			stem := strings.TrimSuffix(config, ".yaml")
			text, err := os.ReadFile(config)
			require.NoError(t, err)
			modelfile, err := filepath.Abs(filepath.Join(dir, "Modelfile"))
			require.NoError(t, err)
			out := t.TempDir()
			server, args := sweeptest.Simulated(t, out, strings.Replace(string(text), "modelfile: Modelfile", "modelfile: "+modelfile, 1))
			server.KeepPrompts()
			for from, to := range map[string]string{stem + ".json": checkpoint.FileName, stem + ".journal": checkpoint.JournalName} {
				saved, err := os.ReadFile(from)
				if os.IsNotExist(err) {
					continue
				}
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(out, to), saved, 0o644))
			}
			before := sweeptest.Load(t, out)
			printed, code := sweeptest.Start(t, args...).Wait()
			require.Zero(t, code, printed)
			fmt.Fprintf(&b, "%s\n", regexp.MustCompile(`(?m)^# \d+ cells: [^;\n]*`).FindString(printed))
			cp := sweeptest.Load(t, out)
			for i := range before.Results {
				was := &before.Results[i]
				now := cp.Result(was.Cell())
				require.NotNil(t, now)
				assert.Equal(t, was.Samples, now.Samples[:len(was.Samples)], "%s: %v", stem, was.Cell())
				assert.Equal(t, was.Probes, now.Probes[:len(was.Probes)], "%s: %v", stem, was.Cell())
				assert.Equal(t, was.Error, now.Error)
			}
			if s := cp.Sweep.Search; s != nil { // whose choices may become better
				fmt.Fprintf(&b, "search: done %v\n", s.Done)
			} else {
				fmt.Fprintf(&b, "%d results, %d auxiliary measurements\n", len(cp.Results), len(cp.Auxiliary))
				for _, line := range sweeptest.BenchLines(printed) {
					subtest, _, _ := strings.Cut(line, " ")
					fmt.Fprintf(&b, "%s\n", subtest)
				}
			}
			saved, err := os.ReadFile(filepath.Join(out, checkpoint.FileName))
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(string(saved), "{\n  \"version\": 1,\n"), stem)
			assert.NotContains(t, string(saved), `"key"`)
			assert.NoFileExists(t, filepath.Join(out, checkpoint.JournalName))
			golden.Equal(t, "version1/"+name+".txt", b.String())
		})
	}
}
