package survives

import (
	"flag"
	"os"
	"testing"

	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

func TestMain(m *testing.M) { os.Exit(sweeptest.Main(m)) }

// long has the tests that are called Survives play their faults in full.
var long = flag.Bool("long", false, "play every fault as often as docs/reliability.md says, for many minutes")

// inFull returns how often something is done with -long, and without.
func inFull(full, reduced int) int {
	if *long {
		return full
	}
	return reduced
}
