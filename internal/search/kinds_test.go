package search

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

// TestKindsAreStrategiesOfAConfig: a config can name each kind, and nothing else but exhaustive.
func TestKindsAreStrategiesOfAConfig(t *testing.T) {
	names := []string{config.StrategyExhaustive}
	for _, k := range Kinds {
		names = append(names, k.Name)
		assert.NotNil(t, k.New(0.01, 1))
	}
	assert.Equal(t, config.Strategies, names)
	_, ok := KindOf(config.StrategyExhaustive)
	assert.False(t, ok)
}
