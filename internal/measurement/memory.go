package measurement

import "math"

// Memory is what a load takes, as the server's log says.
type Memory struct {
	Devices []DeviceMemory `json:"devices,omitempty"`
	// GPULayers of Layers are on GPUs, both 0 where the log does not say.
	GPULayers int `json:"gpu_layers,omitempty"`
	Layers    int `json:"layers,omitempty"`
}

// DeviceMemory is what a load takes of one device's memory, in MiB: weights, what is
// kept of the context, and the buffers that a forward pass computes in.
type DeviceMemory struct {
	Name       string  `json:"name"` // of the server: CUDA0, ROCm1, Vulkan0, MTL0, Host, …
	ModelMiB   float64 `json:"model_mib"`
	ContextMiB float64 `json:"context_mib"`
	ComputeMiB float64 `json:"compute_mib"`
}

// Host is the name of the system's memory, pinned or not.
const Host = "Host"

// Sum returns what all devices hold together.
func (m *Memory) Sum() DeviceMemory {
	var sum DeviceMemory
	for _, d := range m.Devices {
		sum.ModelMiB, sum.ContextMiB, sum.ComputeMiB = sum.ModelMiB+d.ModelMiB, sum.ContextMiB+d.ContextMiB, sum.ComputeMiB+d.ComputeMiB
	}
	return sum
}

// Check reports whether all figures can be those of a load.
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
