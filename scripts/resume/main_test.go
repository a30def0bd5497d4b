package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResume(t *testing.T) {
	dir := t.TempDir()
	from, into := filepath.Join(dir, "from"), filepath.Join(dir, "into")
	var stdout, stderr bytes.Buffer
	require.Zero(t, run([]string{"-from", from, "-into", into}, &stdout, &stderr), stderr.String())

	for _, args := range [][]string{nil, {"-from", from}, {"-into", into}, {"-from", from, "-into", into, "more"}, {"-x"}} {
		assert.Equal(t, 2, run(args, &stdout, &stderr), args)
	}
	assert.Contains(t, stderr.String(), "resume: name two folders, with -from and -into\n")
	assert.Equal(t, 1, run([]string{"-from", "main.go", "-into", into}, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "main.go")
	assert.Empty(t, stdout.String())
}
