package endtoend

import (
	"os"
	"testing"

	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

func TestMain(m *testing.M) { os.Exit(sweeptest.Main(m)) }
