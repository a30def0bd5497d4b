package check

import (
	"fmt"
	"strings"
)

// throttled warns of a GPU whose clock was lowered during a sample.
func throttled(e *Evidence) []Finding {
	var found []Finding
	for _, g := range e.Sample.GPU {
		if len(g.Throttle) == 0 {
			continue
		}
		text := fmt.Sprintf("GPU %d was throttled (%s)", g.Index, strings.Join(g.Throttle, ", "))
		if g.TemperatureC > 0 {
			text += fmt.Sprintf(" at %d °C", g.TemperatureC)
		}
		if g.PowerW > 0 {
			text += fmt.Sprintf(", %.0f W", g.PowerW)
		}
		if g.SMClockMHz > 0 {
			text += fmt.Sprintf(", SM clock down to %d MHz", g.SMClockMHz)
		}
		found = append(found, warn("%s: cells are compared at different clocks; cool it, raise its power limit, or fix the clock for all (nvidia-smi -lgc)", text)...)
	}
	return found
}
