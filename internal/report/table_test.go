package report

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

func TestWriteTable(t *testing.T) { goldens(t, ".csv", writeTable) }

func TestWriteTableWithOddNames(t *testing.T) {
	cp := checkpoints.Planned([]int{1024}, []int{128})
	checkpoints.AddFailed(cp, 1024, 128, measurement.Class("lost, with \"words\"\nand lines"))
	var b strings.Builder
	require.NoError(t, writeTable(&b, cp))
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	require.NoError(t, err)
	assert.Equal(t, [][]string{{"num_batch", "1024"}, {"128", `lost, with "words" and lines`}}, rows)
}

func TestWriteTableToFullDisk(t *testing.T) {
	disk := fullDisk(4)
	assert.ErrorIs(t, writeTable(&disk, checkpoints.Mixed()), errFull)
}
