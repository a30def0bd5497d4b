package check

import "time"

// loadedAnew tells of a sample that was the first prompt after a load, without
// a warm-up: somebody else's model had taken the memory, or the runner had died.
func loadedAnew(e *Evidence) []Finding {
	took, first := e.Sample.LoadDuration, e.Loaded.Warmup.LoadDuration
	if first == 0 || took < 100*time.Millisecond || took < first/2 {
		return nil
	}
	return warn("the model was loaded anew for a sample (%v, at first %v), which then was the first, slower prompt after a load; stop what else uses the server, or use -exclusive", took, first)
}
