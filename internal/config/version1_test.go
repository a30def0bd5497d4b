package config

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
)

// TestConfigsOfEarlierReleases reads configs from before there were axes besides num_ctx and num_batch: their
// values, and the names of their cells in order, are those that that release had, which wrote the golden.
func TestConfigsOfEarlierReleases(t *testing.T) {
	files, err := filepath.Glob("testdata/version1/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var b strings.Builder
	for _, file := range files {
		c, err := Read(file, new(Overrides))
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s\n", filepath.Base(file))
		fmt.Fprintf(&b, "  model %q, modelfile %q, prompt %v, runner %s, engine %s, host %q, ollama %q, log %q\n", c.Model, c.Modelfile, c.Prompt, c.Runner, c.Engine, c.Host, c.Ollama, c.ServerLog)
		fmt.Fprintf(&b, "  predict %d, repeat %d, order %s, confirm %d, baseline %v, reference %d, retake %v, exclusive %v, timeout %v, wait %v\n", c.NumPredict, c.Repeat, c.Order, c.Leaders(), c.Baseline, c.ReferenceEvery, c.Retake, c.Exclusive, c.CellTimeout, c.ServerWait)
		fmt.Fprintf(&b, "  budget %v, shard %v, strategy %s, tolerance %v, probe %v, prune %v, retry %v, redo %v, fresh %v, out %s\n", c.Budget, c.Shard, c.Strategy, c.Tolerance, c.Probe, c.Prune, c.RetryFailed, c.Redo, c.Fresh, c.Out)
		plan, leftOut := c.Plan()
		var names []string
		for _, c := range plan {
			names = append(names, "Sweep/"+c.String())
		}
		all := strings.Join(names, "\n")
		if n := len(names); n > 40 {
			names = append(append(names[:3:3], "…"), names[n-3:]...)
		}
		fmt.Fprintf(&b, "  %d cells (sha256 %x): %s\n", len(plan), sha256.Sum256([]byte(all)), strings.Join(names, " "))
		fmt.Fprintf(&b, "  left out: %s\n", cell.Names(leftOut))
		fmt.Fprintf(&b, "  hosts: %v\n", c.HostCells())
	}
	golden.Equal(t, "version1.txt", b.String())
	assert.NotContains(t, b.String(), "num_gpu")
}
