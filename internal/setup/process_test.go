package setup

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// fakeEngine records how it is started again.
type fakeEngine struct {
	starts []string // command and environment
	err    error    // of the next starts
	exited chan struct{}
}

func (e *fakeEngine) Restart(_ context.Context, ollama string, env map[string]string) error {
	text := ollama
	for _, name := range []string{"GGML_X", "OLLAMA_FLASH_ATTENTION", "OLLAMA_NUM_PARALLEL"} {
		if value, ok := env[name]; ok {
			text += " " + name + "=" + value
		}
	}
	e.starts = append(e.starts, text)
	if e.err == nil {
		e.exited = make(chan struct{})
	}
	return e.err
}

func (e *fakeEngine) Exited() <-chan struct{} { return e.exited }

func (e *fakeEngine) Command() string { return "/usr/bin/ollama" }

// fakeOllama records what is asked of it.
type fakeOllama struct {
	Ollama
	options map[string]any
	calls   []string
	ready   func(context.Context) error // instead of Ready, unless it is nil
}

func (o *fakeOllama) call(name string) error { o.calls = append(o.calls, name); return nil }

func (o *fakeOllama) SetOptions(options map[string]any) { o.options = options }

func (o *fakeOllama) Ready(ctx context.Context) error {
	if o.ready != nil {
		return o.ready(ctx)
	}
	return o.call("ready")
}

func (o *fakeOllama) Unload(context.Context) error { return o.call("unload") }
func (o *fakeOllama) Settle(context.Context) error { return o.call("settle") }

func (o *fakeOllama) Load(_ context.Context, numCtx, numBatch int, _ func() string) (measurement.Loaded, error) {
	return measurement.Loaded{ContextLength: numCtx, Size: int64(numBatch)}, o.call("load")
}

// runnerOf returns a runner of cells with a fake engine, which runs with the settings.
func runnerOf(running cell.Settings, fixed map[string]string) (*cellRunner, *fakeEngine, *fakeOllama, *bytes.Buffer) {
	var log bytes.Buffer
	engine, server := &fakeEngine{exited: make(chan struct{})}, new(fakeOllama)
	p := &process{engine: engine, running: running, fixed: fixed, binaries: map[string]string{"0.31.1": "/new/ollama"}, serverLog: "engine.log", log: &log}
	return &cellRunner{Ollama: server, fixed: fixed, process: p}, engine, server, &log
}

func load(t *testing.T, r *cellRunner, s cell.Settings) error {
	t.Helper()
	loaded, err := r.Load(t.Context(), cell.Key{Ctx: 4096, Batch: 512, Settings: s}, nil)
	if err == nil {
		assert.Equal(t, measurement.Loaded{ContextLength: 4096, Size: 512}, loaded)
	}
	return err
}

// TestProcess: the server is started again only for a cell with other settings of the server.
func TestProcess(t *testing.T) {
	r, engine, server, log := runnerOf("GGML_X=1", map[string]string{"num_parallel": "2", "num_gpu": "40"})
	for _, s := range []cell.Settings{"num_thread=1/GGML_X=1", "num_thread=2/GGML_X=1"} {
		require.NoError(t, load(t, r, s))
	}
	assert.Empty(t, engine.starts)
	for _, s := range []cell.Settings{"num_thread=1/GGML_X=auto", "num_thread=1/flash_attention=on/GGML_X=2", "num_thread=2/flash_attention=on/GGML_X=2", "ollama=0.31.1"} {
		require.NoError(t, load(t, r, s))
	}
	assert.Equal(t, []string{" OLLAMA_NUM_PARALLEL=2", " GGML_X=2 OLLAMA_FLASH_ATTENTION=1 OLLAMA_NUM_PARALLEL=2", "/new/ollama OLLAMA_NUM_PARALLEL=2"}, engine.starts)
	assert.Contains(t, log.String(), "starting the server with flash_attention=on, GGML_X=2\n")
	assert.Equal(t, map[string]any{"num_gpu": 40}, server.options)
}

// TestProcessThatDoesNotStart: the cells of the settings fail, nothing is sent to the server meanwhile, and
// the next cell starts it.
func TestProcessThatDoesNotStart(t *testing.T) {
	r, engine, server, _ := runnerOf("GGML_X=1", nil)
	engine.err = errors.New("it exited at once: no such backend")
	for range 2 {
		err := load(t, r, "GGML_X=2")
		var failure *measurement.Failure
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, measurement.Failure{Class: measurement.ModelError, Detail: "it exited at once: no such backend"}, *failure)
		assert.True(t, r.process.down())
		require.NoError(t, errors.Join(r.Ready(t.Context()), r.Unload(t.Context()), r.Settle(t.Context())))
	}
	assert.Empty(t, server.calls)
	assert.Len(t, engine.starts, 2, "each cell tries it")

	engine.err = nil
	require.NoError(t, load(t, r, "GGML_X=1"), "with the settings that it ran with before")
	assert.Len(t, engine.starts, 3)
	assert.False(t, r.process.down())
	require.NoError(t, errors.Join(r.Ready(t.Context()), r.Unload(t.Context()), r.Settle(t.Context())))
	assert.Equal(t, []string{"load", "ready", "unload", "settle"}, server.calls)
}

// TestProcessThatEnds: a server that has ended by itself is started again by the next load, also where that is
// noticed while it is waited for.
func TestProcessThatEnds(t *testing.T) {
	r, engine, server, log := runnerOf("", nil)
	close(engine.exited)
	require.NoError(t, errors.Join(r.Ready(t.Context()), r.Unload(t.Context()), r.Settle(t.Context())))
	assert.Empty(t, server.calls)
	require.NoError(t, load(t, r, ""))
	assert.Len(t, engine.starts, 1)
	assert.Equal(t, "warning: the server has ended by itself; its log is engine.log\nstarting the server\n", log.String())
	require.NoError(t, load(t, r, ""))
	assert.Len(t, engine.starts, 1)

	server.ready = func(ctx context.Context) error {
		close(engine.exited)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	require.NoError(t, r.Ready(t.Context()))
	assert.True(t, r.process.down())

	r, engine, server, _ = runnerOf("", nil)
	away := errors.New("the server stayed away for 10s")
	server.ready = func(context.Context) error { return away }
	assert.Equal(t, away, r.Ready(t.Context()), "it runs, and does not answer")
	assert.Empty(t, engine.starts)
}

// TestProcessThatIsStopped: an interrupt is no failure of a cell.
func TestProcessThatIsStopped(t *testing.T) {
	r, engine, _, _ := runnerOf("GGML_X=1", nil)
	engine.err = errors.New("the request was cancelled")
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted)
	_, err := r.Load(ctx, cell.Key{Ctx: 4096, Batch: 512, Settings: "GGML_X=2"}, nil)
	assert.Equal(t, interrupted, err)
	assert.True(t, r.process.down())
}

// TestOptionsOfCells: options go with each load, those of the cell in place of fixed ones, and none that is
// left to the server. A user's server is not started again.
func TestOptionsOfCells(t *testing.T) {
	server := new(fakeOllama)
	r := CellRunner(server, map[string]string{"num_gpu": "40", "use_mmap": "false", "flash_attention": "on"}).(*cellRunner)
	for s, want := range map[cell.Settings]map[string]any{
		"":                           {"num_gpu": 40, "use_mmap": false},
		"num_thread=8":               {"num_gpu": 40, "use_mmap": false, "num_thread": 8},
		"num_gpu=auto/use_mmap=true": {"use_mmap": true},
		"num_gpu=0/GGML_X=1":         {"num_gpu": 0, "use_mmap": false},
		"main_gpu=1/num_thread=auto": {"num_gpu": 40, "use_mmap": false, "main_gpu": 1},
	} {
		require.NoError(t, load(t, r, s))
		assert.Equal(t, want, server.options, "%s", s)
	}
	assert.False(t, r.process.down())
}

func TestServerSettings(t *testing.T) {
	plan, _ := cell.Grid{Ctx: []int{1, 2}, Batch: []int{1}, Settings: []cell.SettingAxis{{Name: "num_gpu", Values: []string{"1", "2"}}, {Name: "num_parallel", Values: []string{"2", "1"}}}}.Cells()
	assert.Equal(t, []cell.Settings{"num_parallel=2", "num_parallel=1"}, serverSettings(plan))
	assert.Equal(t, []cell.Settings{""}, serverSettings(nil))
}
