package check

import (
	"fmt"
	"strings"
)

// othersLoaded warns of other models in the server's memory before the first sample.
func othersLoaded(e *Evidence) []Finding { return others(e, e.Loaded.Others) }

// othersDuringSample warns of other models in the server's memory after a sample, and of
// other clients that used the model.
func othersDuringSample(e *Evidence) []Finding {
	found := others(e, e.Sample.Others)
	if e.Sample.OtherClient {
		used := warn("another client used the model too: rates are too low; stop whatever else uses this server")
		used[0].Again = e.Exclusive
		found = append(used, found...)
	}
	return found
}

func others(e *Evidence, names []string) []Finding {
	if len(names) == 0 {
		return nil
	}
	found := warn("also loaded: %s; requests to it slow this one down, and it takes memory; -exclusive unloads it", strings.Join(names, ", "))
	if e.Exclusive {
		found[0].Again = true
		found[0].Text = fmt.Sprintf("loaded again in spite of -exclusive: %s; stop what uses it", strings.Join(names, ", "))
	}
	return found
}
