package report

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

func TestTitle(t *testing.T) {
	unnamed := full(1, 1)
	unnamed.Sweep.Model = ""
	for _, tt := range []struct {
		name string
		cp   *checkpoint.Checkpoint
		want [3]string
	}{
		{"incomplete", checkpoints.Mixed(), [3]string{
			"nemotron_f",
			"num_ctx 512–2048 (4 values), num_batch 128–896 (4 values); 8 of 14 cells measured",
			"BEST: num_ctx=1024, num_batch=896, rate=2000.0 tokens/s; 7 tied within 50.0 %",
		}},
		{"complete", unnamed, [3]string{
			"model not named", "num_ctx 8192, num_batch 32", "BEST: num_ctx=8192, num_batch=32, rate=1000.0 tokens/s",
		}},
		{"nothing measured yet", checkpoints.Planned([]int{1024}, []int{128}), [3]string{
			"tiny", "num_ctx 1024, num_batch 128; 0 of 1 cells measured", "BEST: no cell measured",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGrid(tt.cp)
			var got [3]string
			for i, line := range g.title(tt.cp.Sweep, g.stats()) {
				got[i] = line.String()
			}
			assert.Equal(t, tt.want, got)
		})
	}
}
