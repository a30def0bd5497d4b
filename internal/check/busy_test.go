package check

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

func TestBusy(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cpu   *measurement.CPUUse
		gpu   []measurement.GPU
		want  string
		share float64
	}{
		{name: "nothing known"},
		{name: "idle", cpu: &measurement.CPUUse{Count: 2, Server: 1.99, Others: 0.01}, share: 0.005},
		{name: "others take what the server would use", cpu: &measurement.CPUUse{Count: 2, Server: 1.6, Others: 0.4}, want: "other programs used 0.4 of 2 CPUs", share: 0.2},
		{name: "others use what the server leaves idle", cpu: &measurement.CPUUse{Count: 16, Server: 8, Others: 4}, share: 0.25},
		{name: "half of the machine", cpu: &measurement.CPUUse{Count: 16, Server: 4, Others: 8.5}, want: "other programs used 8.5 of 16 CPUs", share: 8.5 / 16},
		{name: "swapping", cpu: &measurement.CPUUse{Count: 4, Server: 1, MemoryWait: 0.34}, want: "processes waited for memory in 34 % of the time", share: 0.34},
		{name: "a GPU that only the server uses", gpu: []measurement.GPU{{Index: 0, Utilization: 99}}},
		{name: "a GPU that others use", gpu: []measurement.GPU{{Index: 0}, {Index: 1, Utilization: 99, Others: 37}}, want: "others used 37 % of GPU 1 while the model was loaded", share: 0.37},
		{name: "no count", cpu: &measurement.CPUUse{Others: 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := measurement.Sample{CPU: tt.cpu, GPU: tt.gpu}
			assert.Equal(t, tt.want, Busy(s))
			assert.InDelta(t, tt.share, OthersShare(s), 1e-9)
		})
	}
}
