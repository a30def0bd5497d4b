package measurement

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMemorySum(t *testing.T) {
	m := &Memory{Devices: []DeviceMemory{{"CUDA0", 1, 2, 3}, {Host, 10, 20, 30}}}
	assert.Equal(t, DeviceMemory{"", 11, 22, 33}, m.Sum())
	assert.True(t, m.Check())
	assert.False(t, (&Memory{Devices: []DeviceMemory{{"CUDA0", -1, 2, 3}}}).Check())
	assert.False(t, (&Memory{GPULayers: 3, Layers: 2}).Check())
}
