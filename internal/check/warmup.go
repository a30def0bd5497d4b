package check

import "time"

// reloaded refuses a sample that was the first prompt after a load, without a warm-up: another client
// used the model with other settings, another model had taken its memory, or the runner had died.
func reloaded(e *Evidence) []Finding {
	took, first := e.Sample.LoadDuration, e.Loaded.Warmup.LoadDuration
	short := first == 0 || took < 100*time.Millisecond || took < first/2
	if short && !e.Sample.Reloaded {
		return nil
	}
	found := warn("the model was loaded again for a sample (%v, at first %v), which makes it the first, slower prompt after a load: another client uses this server; stop it, or wait until it is done", took, first)
	found[0].Again = true
	return found
}
