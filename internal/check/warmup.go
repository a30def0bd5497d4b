package check

import "time"

// loadedAnew refuses a sample that was the first prompt after a load, without a warm-up: the model
// was loaded for somebody else with other settings, or another had taken its memory, or the runner
// had died.
func loadedAnew(e *Evidence) []Finding {
	took, first := e.Sample.LoadDuration, e.Loaded.Warmup.LoadDuration
	short := first == 0 || took < 100*time.Millisecond || took < first/2
	if short && !e.Sample.LoadedAnew {
		return nil
	}
	found := warn("the model had to be loaded anew for a sample (%v, at first %v), which then was the first, slower prompt after a load: somebody else uses this server; stop that, or wait for it", took, first)
	found[0].Again = true
	return found
}
