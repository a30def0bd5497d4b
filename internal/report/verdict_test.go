package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

// onHosts adds loads of one host, of a cell that compares hosts.
func onHosts(cp *checkpoint.Checkpoint, host string, rates ...float64) {
	for _, rate := range rates {
		r := checkpoint.Auxiliary{Purpose: checkpoint.HostCheck, Host: host, Result: checkpoint.Result{NumCtx: 512, NumBatch: 128}}
		r.PromptEvalRate = &rate
		cp.Auxiliary = append(cp.Auxiliary, r)
	}
}

// printed returns the full output of Print, in one line.
func printed(t *testing.T, cp *checkpoint.Checkpoint) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, Print(&b, cp, Options{Full: true}))
	return strings.Join(strings.Fields(b.String()), " ")
}

func TestHosts(t *testing.T) {
	cp := checkpoints.Mixed()
	onHosts(cp, "a", 1250, 1251)
	assert.NotContains(t, printed(t, cp), "Hosts:", "a single host is not compared")

	onHosts(cp, "b", 1000, 1001)
	for i := range 9 {
		onHosts(cp, fmt.Sprintf("c%d", i), 1118, 1119)
	}
	const apart = "num_ctx=512, num_batch=128: a is 25.0 % faster than b (95 % interval 24."
	text := printed(t, cp)
	assert.Contains(t, text, "Hosts: 11, compared with the median one: b -10.5 %, c0 +0.0 %, c1 +0.0 %, c2 +0.0 %, …, c6 +0.0 %, c7 +0.0 %, c8 +0.0 %, a +11.8 % ")
	assert.Contains(t, text, apart)
	assert.Contains(t, text, "Warning: hosts: at num_ctx=512, num_batch=128 the host a is 25.0 % faster than b (95 % interval 24.")
	var page bytes.Buffer
	require.NoError(t, ownPage(&page, cp))
	assert.Contains(t, page.String(), "hosts: 11, compared with the median one: ")
	assert.Contains(t, page.String(), apart)

	cp = checkpoints.Mixed()
	onHosts(cp, "a", 1000, 1250)
	onHosts(cp, "b", 1010, 1240)
	text = printed(t, cp)
	assert.Contains(t, text, "which is within noise")
	assert.NotContains(t, text, "Warning: hosts")

	cp = checkpoints.Mixed()
	onHosts(cp, "a", 1250)
	onHosts(cp, "b", 1000)
	text = printed(t, cp)
	assert.Contains(t, text, "a is 25.0 % faster than b; the noise is unknown, since no host has measured the cell twice")
	assert.NotContains(t, text, "Warning: hosts")
}
