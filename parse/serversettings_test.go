package parse

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServerSettings(t *testing.T) {
	log, err := os.ReadFile("testdata/ollama-0.32.5-start.log")
	require.NoError(t, err)
	environment, err := Environment(bytes.NewReader(log))
	require.NoError(t, err)
	assert.Equal(t, "0", environment["OLLAMA_CONTEXT_LENGTH"])
	settings := ServerSettings(environment)
	assert.Equal(t, map[string]string{
		"OLLAMA_FLASH_ATTENTION": "false", "OLLAMA_KV_CACHE_TYPE": "", "OLLAMA_NUM_PARALLEL": "1", "OLLAMA_SCHED_SPREAD": "false",
		"OLLAMA_GPU_OVERHEAD": "0", "OLLAMA_LLM_LIBRARY": "", "OLLAMA_VULKAN": "true", "OLLAMA_IGPU_ENABLE": "",
		"HSA_OVERRIDE_GFX_VERSION": "", "LLAMA_ARG_FIT": "", "LLAMA_ARG_FIT_TARGET": "",
	}, settings)

	restarted := string(log) + strings.ReplaceAll(string(log), "OLLAMA_KV_CACHE_TYPE:", "OLLAMA_KV_CACHE_TYPE:q8_0")
	settings, err = Environment(strings.NewReader(restarted))
	require.NoError(t, err)
	assert.Equal(t, "q8_0", settings["OLLAMA_KV_CACHE_TYPE"], "of the newest start")

	quoted := `{"log":"msg=\"server config\" env=\"map[OLLAMA_KV_CACHE_TYPE:q4_0 OLLAMA_NUM_PARALLEL:2]\"\n","stream":"stderr"}`
	settings, err = Environment(strings.NewReader(quoted))
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"OLLAMA_KV_CACHE_TYPE": "q4_0", "OLLAMA_NUM_PARALLEL": "2"}, settings, "in Docker's JSON")

	settings, err = Environment(strings.NewReader("msg=\"inference compute\"\n"))
	require.NoError(t, err)
	assert.Nil(t, settings, "a log that was started after the server")
	assert.Nil(t, ServerSettings(nil))

	boom := errors.New("boom")
	_, err = Environment(iotest.ErrReader(boom))
	assert.ErrorIs(t, err, boom)
}

func TestRefusedSettings(t *testing.T) {
	// Ollama 0.10.1 with these variables.
	const log = `2026/11/27 14:03:35 config.go:233: WARN invalid environment variable, using default key=OLLAMA_GPU_OVERHEAD value=-1 default=0
2026/11/27 14:03:35 config.go:210: WARN invalid environment variable, using default key=OLLAMA_NUM_PARALLEL value="two x" default=1
time=2026-11-27T14:03:35.289Z level=WARN source=config.go:233 msg="invalid environment variable, using default" key=OLLAMA_GPU_OVERHEAD value=-1 default=0
time=2026-11-27T14:03:35.289Z level=WARN source=config.go:210 msg="invalid environment variable, using default" key=OLLAMA_NUM_PARALLEL value="two x" default=1
time=2026-11-27T14:03:35.290Z level=INFO source=images.go:476 msg="total blobs: 0"
`
	assert.Equal(t, []string{"OLLAMA_GPU_OVERHEAD=-1", `OLLAMA_NUM_PARALLEL="two x"`}, RefusedSettings([]byte(log)))
	assert.Empty(t, RefusedSettings([]byte("level=INFO msg=\"server config\"\n")))
}
