package setup

import (
	"fmt"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/report"
)

// refresher updates the picture and the page in the out folder while the sweep runs,
// so that an open browser shows its progress.
type refresher struct {
	next   time.Time // not before
	failed bool
}

// firstRefresh is how long a sweep has run before its first refresh. One that ends sooner draws its
// picture only at the end.
const firstRefresh = 5 * time.Second

// idle is the pause until the next refresh, as a multiple of the time that the last one
// took. It limits all refreshes to 2 % of the time.
const idle = 50

// refresh is called between cells, when it does not disturb a measurement.
func (b *Sweep) refresh() {
	cp := b.sweep.Store.Checkpoint()
	begun := time.Now()
	if len(cp.Results) == 0 || begun.Before(b.refresher.next) {
		return
	}
	err := report.Refresh(b.config.Out, cp)
	b.refresher.next = time.Now().Add(idle * time.Since(begun))
	if err != nil && !b.refresher.failed {
		b.refresher.failed = true
		fmt.Fprintf(b.log, "warning: picture and page can't be kept up to date: %v\n", err)
	}
}
