package survives

import (
	"flag"
	"os"
	"testing"

	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

func TestMain(m *testing.M) { os.Exit(sweeptest.Main(m)) }

var long = flag.Bool("long", false, "run the Survives tests with the counts of docs/reliability.md, which takes a quarter of an hour")

// inFull returns the full count with -long, else the reduced one.
func inFull(full, reduced int) int {
	if *long {
		return full
	}
	return reduced
}
