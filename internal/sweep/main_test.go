package sweep

import (
	"testing"

	"github.com/ollama-sweep/ollama-sweep/internal/test/ramdir"
)

func TestMain(m *testing.M) {
	ramdir.Use()
	m.Run()
}
