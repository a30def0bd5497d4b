package measurement

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMergeGPUs(t *testing.T) {
	assert.Empty(t, MergeGPUs(nil))
	first := []string{"SW power cap"}
	got := MergeGPUs([]GPU{
		{Index: 1, TemperatureC: 50, SMClockMHz: 1500, PowerW: 100, MemoryMiB: 10, Throttle: first},
		{Index: 0, TemperatureC: 40},
		{Index: 1, TemperatureC: 55, SMClockMHz: 1400, PowerW: 90, MemoryMiB: 20, Utilization: 7, Throttle: []string{"HW slowdown", "SW power cap"}},
		{Index: 1},
	})
	assert.Equal(t, []GPU{
		{Index: 0, TemperatureC: 40},
		{Index: 1, TemperatureC: 55, SMClockMHz: 1400, PowerW: 100, MemoryMiB: 20, Utilization: 7, Throttle: []string{"HW slowdown", "SW power cap"}},
	}, got)
	assert.Equal(t, []string{"SW power cap"}, first, "readings are not changed")
}
