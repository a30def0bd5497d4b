package parse

import (
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// GPUQuery is the value of nvidia-smi's --query-gpu whose output GPUReading parses.
// Newer drivers call the last field clocks_event_reasons.active.
const GPUQuery = "index,temperature.gpu,clocks.sm,power.draw,memory.used,utilization.gpu,clocks_throttle_reasons.active"

// throttleReasons are the bits which mean that the clock is lower than the load
// requires. The other bits (idle 0x1, a clock set by the user 0x2, in step with
// other GPUs 0x10, display 0x100) are intended. Source: NVML,
// nvmlClocksThrottleReasons.
var throttleReasons = []struct {
	bit  uint64
	name string
}{
	{0x4, "SW power cap"},
	{0x8, "HW slowdown"},
	{0x20, "SW thermal slowdown"},
	{0x40, "HW thermal slowdown"},
	{0x80, "HW power brake"},
}

// GPUReading parses a line of nvidia-smi's CSV without header and units:
//
//	0, 65, 1980, 312.45, 70123, 98, 0x0000000000000004
//
// A value in brackets, such as [N/A] or [Not Supported], is unknown. An unknown index is an
// error.
func GPUReading(line string) (measurement.GPU, error) {
	r := csv.NewReader(strings.NewReader(line))
	r.TrimLeadingSpace = true
	fields, err := r.Read()
	if want := strings.Count(GPUQuery, ",") + 1; err != nil || len(fields) != want {
		return measurement.GPU{}, fmt.Errorf("reading of a GPU: %q is not a line of %d values", line, want)
	}
	var g measurement.GPU
	var power float64
	var reasons uint64
	if unknownValue(fields[0]) {
		return measurement.GPU{}, fmt.Errorf("reading of a GPU: %q has no index", line)
	}
	for i, into := range []any{&g.Index, &g.TemperatureC, &g.SMClockMHz, &power, &g.MemoryMiB, &g.Utilization, &reasons} {
		if err := gpuValue(strings.TrimSpace(fields[i]), into); err != nil {
			return measurement.GPU{}, fmt.Errorf("reading of a GPU: %q: %w", line, err)
		}
	}
	g.PowerW = power
	for _, reason := range throttleReasons {
		if reasons&reason.bit != 0 {
			g.Throttle = append(g.Throttle, reason.name)
		}
	}
	return g, nil
}

// withoutBrackets are the texts that some drivers, and tools that replace nvidia-smi, print
// for an unknown value.
var withoutBrackets = []string{"N/A", "ERR!", "Not Supported", "Not Available", "Unknown Error", "Insufficient Permissions", "GPU is lost", "GPU requires reset"}

func unknownValue(text string) bool {
	return strings.HasPrefix(text, "[") || slices.Contains(withoutBrackets, text)
}

func gpuValue(text string, into any) (err error) {
	if unknownValue(text) {
		return nil
	}
	switch v := into.(type) {
	case *int:
		*v, err = strconv.Atoi(text)
		if err == nil && *v < 0 {
			err = fmt.Errorf("%d is negative", *v)
		}
	case *float64:
		*v, err = strconv.ParseFloat(text, 64)
		if err == nil && !(*v >= 0 && *v <= math.MaxFloat32) {
			err = fmt.Errorf("%v is not a power in watts", *v)
		}
	case *uint64:
		*v, err = strconv.ParseUint(text, 0, 64)
	}
	return err
}
