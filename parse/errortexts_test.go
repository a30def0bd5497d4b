package parse

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// TestErrorTexts: a row has both kinds of texts, and no class has two rows.
func TestErrorTexts(t *testing.T) {
	classes := make(map[measurement.Class]bool)
	for _, row := range errorTexts {
		assert.NotNil(t, row.causes, row.class)
		assert.NotNil(t, row.symptoms, row.class)
		assert.NotEqual(t, "FAIL", row.class.Short(), "%s is no class", row.class)
		assert.False(t, classes[row.class], row.class)
		classes[row.class] = true
	}
}
