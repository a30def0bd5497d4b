package setup

import (
	"fmt"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/report"
)

// refresher keeps the picture and the page in the out folder new while the sweep
// runs, so that a browser left open shows it growing.
type refresher struct {
	next   time.Time // not before
	failed bool
}

// idle is how many times longer the next refresh waits than the last took, which
// bounds what the looking on costs: 2 % of the time.
const idle = 50

// refresh is called between cells, when no measurement is disturbed.
func (b *Session) refresh() {
	cp := b.sweep.Store.Checkpoint()
	begun := time.Now()
	if len(cp.Results) == 0 || begun.Before(b.refresher.next) {
		return
	}
	err := report.Refresh(b.config.Out, cp)
	b.refresher.next = time.Now().Add(idle * time.Since(begun))
	if err != nil && !b.refresher.failed {
		b.refresher.failed = true
		fmt.Fprintf(b.say, "warning: picture and page can't be kept new: %v\n", err)
	}
}
