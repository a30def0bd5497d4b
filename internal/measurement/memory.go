package measurement

import (
	"math"
	"slices"
)

// Memory is the memory of a load, according to the server's log.
type Memory struct {
	Devices []DeviceMemory `json:"devices,omitempty"`
	// GPULayers of the model's Layers are on GPUs. Both are 0 if unknown.
	GPULayers int `json:"gpu_layers,omitempty"`
	Layers    int `json:"layers,omitempty"`
}

// DeviceMemory is the memory of a load on one device, in MiB: the weights, the context
// (KV cache and recurrent states), and the compute buffers of a forward pass.
type DeviceMemory struct {
	Name       string  `json:"name"` // as in the server's log: CUDA0, ROCm1, Vulkan0, MTL0, Host, …
	ModelMiB   float64 `json:"model_mib"`
	ContextMiB float64 `json:"context_mib"`
	ComputeMiB float64 `json:"compute_mib"`
}

// Host is the name for the system's memory, page-locked or not.
const Host = "Host"

// Sum returns the memory on all devices together.
func (m *Memory) Sum() DeviceMemory {
	var sum DeviceMemory
	for _, d := range m.Devices {
		sum.ModelMiB, sum.ContextMiB, sum.ComputeMiB = sum.ModelMiB+d.ModelMiB, sum.ContextMiB+d.ContextMiB, sum.ComputeMiB+d.ComputeMiB
	}
	return sum
}

// OnGPUs returns the memory on all devices but the host together.
func (m *Memory) OnGPUs() DeviceMemory {
	gpus := Memory{Devices: slices.DeleteFunc(slices.Clone(m.Devices), func(d DeviceMemory) bool { return d.Name == Host })}
	return gpus.Sum()
}

// Whole returns the memory of a load whose layers are all on GPUs, by what is on the GPUs, or all in the host's
// memory; false for other loads, whose weights the log can have twice, since the model's file is mapped.
func (m *Memory) Whole() (DeviceMemory, bool) {
	switch {
	case m == nil || len(m.Devices) == 0:
		return DeviceMemory{}, false
	case m.GPULayers > 0 && m.GPULayers == m.Layers:
		return m.OnGPUs(), true
	}
	return m.Sum(), m.OnGPUs() == DeviceMemory{}
}

// Check reports whether all figures are possible for a load.
func (m *Memory) Check() bool {
	for _, d := range m.Devices {
		for _, mib := range []float64{d.ModelMiB, d.ContextMiB, d.ComputeMiB} {
			if !(mib >= 0) || math.IsInf(mib, 0) {
				return false
			}
		}
	}
	return m.GPULayers >= 0 && m.Layers >= m.GPULayers
}
