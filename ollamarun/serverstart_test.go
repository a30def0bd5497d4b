package ollamarun

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// started returns the log lines of a server's start.
func started(settings, gpu string) string {
	return `msg="server config" env="map[OLLAMA_KV_CACHE_TYPE:` + settings + ` OLLAMA_ORIGINS:[http://localhost]]"` + "\n" +
		`msg="Listening on 127.0.0.1:11434 (version 0.10.1)"` + "\n" +
		`msg="inference compute" library=cuda driver=12.3 name="` + gpu + `" total="1 GiB"` + "\n"
}

func TestServerLogStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	start := func(cache, device string) measurement.ServerStart {
		return measurement.ServerStart{Devices: []string{device + " (driver 12.3)"}, Settings: map[string]string{"OLLAMA_KV_CACHE_TYPE": cache}, Environment: map[string]string{"OLLAMA_KV_CACHE_TYPE": cache}}
	}
	appendTo(t, path, started("f16", "NVIDIA A"))
	l, err := OpenServerLog(path)
	require.NoError(t, err)
	expect := func(want measurement.ServerStart, why string) {
		t.Helper()
		got, err := l.Start()
		require.NoError(t, err)
		assert.Equal(t, want, got, why)
	}
	expect(start("f16", "NVIDIA A"), "also from before the log was opened")
	appendTo(t, path, strings.Repeat("msg=load\n", 1000))
	expect(start("f16", "NVIDIA A"), "grown, without a new start")

	config, rest, _ := strings.Cut(started("q8_0", "NVIDIA B"), " OLLAMA_ORIGINS")
	appendTo(t, path, config)
	expect(start("f16", "NVIDIA A"), "an incomplete line")
	appendTo(t, path, " OLLAMA_ORIGINS"+rest)
	expect(start("q8_0", "NVIDIA B"), "a start after the first")

	require.NoError(t, os.WriteFile(path, []byte(started("q4_0", "NVIDIA C")+strings.Repeat("msg=load\n", 5000)), 0o644))
	expect(start("q4_0", "NVIDIA C"), "truncated, and longer than before")
	require.NoError(t, os.WriteFile(path, []byte("msg=load\n"), 0o644))
	expect(measurement.ServerStart{}, "a log that was started after the server")

	require.NoError(t, os.Remove(path))
	_, err = l.Start()
	assert.ErrorContains(t, err, "reading server log: open "+path)
	none, err := (*ServerLog)(nil).Start()
	assert.NoError(t, err)
	assert.Equal(t, measurement.ServerStart{}, none)
}
