package check

import (
	"fmt"
	"strings"
)

// othersLoaded and othersBeside tell of models of somebody else in the server's
// memory, before the first sample and after each.
func othersLoaded(e *Evidence) []Finding { return others(e, e.Loaded.Others) }

func othersBeside(e *Evidence) []Finding {
	found := others(e, e.Sample.Others)
	if e.Sample.OtherClient {
		used := warn("the model was used by somebody else too: rates are too low; stop what else uses this server")
		used[0].Again = e.Exclusive
		found = append(used, found...)
	}
	return found
}

func others(e *Evidence, names []string) []Finding {
	if len(names) == 0 {
		return nil
	}
	found := warn("also loaded: %s; a request to it slows this one down, and its memory is taken; -exclusive unloads it", strings.Join(names, ", "))
	if e.Exclusive {
		found[0].Again = true
		found[0].Text = fmt.Sprintf("loaded again while -exclusive was asked for: %s; stop what uses it", strings.Join(names, ", "))
	}
	return found
}
