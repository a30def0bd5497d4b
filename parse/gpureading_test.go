package parse

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

func TestGPUReading(t *testing.T) {
	for line, want := range map[string]measurement.GPU{
		"0, 65, 1980, 312.45, 70123, 98, 0x0000000000000000":        {TemperatureC: 65, SMClockMHz: 1980, PowerW: 312.45, MemoryMiB: 70123, Utilization: 98},
		"4, 31, 345, 24.11, 11, 0, 0x0000000000000001\n":            {Index: 4, TemperatureC: 31, SMClockMHz: 345, PowerW: 24.11, MemoryMiB: 11},
		"1, 88, 1200, 350.02, 24000, 100, 0x0000000000000044":       {Index: 1, TemperatureC: 88, SMClockMHz: 1200, PowerW: 350.02, MemoryMiB: 24000, Utilization: 100, Throttle: []string{"SW power cap", "HW thermal slowdown"}},
		"0, [N/A], [Not Supported], N/A, 5, [Unknown Error], [N/A]": {MemoryMiB: 5},
		"0,65,1980,312.45,70123,98,0x00000000000000A8":              {TemperatureC: 65, SMClockMHz: 1980, PowerW: 312.45, MemoryMiB: 70123, Utilization: 98, Throttle: []string{"HW slowdown", "SW thermal slowdown", "HW power brake"}},
		"0, 65, 1980, 312.45, 70123, 98, 0x0000000000000113":        {TemperatureC: 65, SMClockMHz: 1980, PowerW: 312.45, MemoryMiB: 70123, Utilization: 98},
	} {
		got, err := GPUReading(line)
		require.NoError(t, err, line)
		assert.Equal(t, want, got, line)
	}
	for _, line := range []string{
		"", "0, 65", "x, 65, 1980, 312.45, 70123, 98, 0x0", "0, -5, 1980, 312.45, 70123, 98, 0x0", "0, 65, 1980, NaN, 70123, 98, 0x0",
		"[N/A], 65, 1980, 312.45, 70123, 98, 0x0", "index, temperature.gpu, clocks.current.sm, power.draw, memory.used, utilization.gpu, clocks_throttle_reasons.active",
		"0, 65, 1980, Inf, 70123, 98, 0x0", "0, 65, 1980, 312.45, 70123, 98, reasons", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
	} {
		_, err := GPUReading(line)
		assert.ErrorContains(t, err, "reading of a GPU", line)
	}
}

func FuzzGPUReading(f *testing.F) {
	f.Add("0, 65, 1980, 312.45, 70123, 98, 0x0000000000000004")
	f.Add(`0, "65", [N/A], 1e300, 70123, 98, 0x1`)
	f.Fuzz(func(t *testing.T, line string) {
		g, err := GPUReading(line)
		if err != nil {
			return
		}
		if min(g.Index, g.TemperatureC, g.SMClockMHz, g.MemoryMiB, g.Utilization) < 0 || !(g.PowerW >= 0) || math.IsInf(g.PowerW, 0) {
			t.Fatalf("%q became %+v", line, g)
		}
	})
}
