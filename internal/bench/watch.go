package bench

import (
	"fmt"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// busyPercent is from which utilization on a GPU is at work for somebody else.
const busyPercent = 10

// watch has the server's log and its GPUs looked at from now on, where that can
// be done, and says where a GPU is not idle before the first load.
func (b *Bench) watch(server *ollamarun.Server, store *sweep.Store) (err error) {
	log := b.config.ServerLog
	if log == "" && b.config.Engine == sweep.EngineEmbedded {
		log = filepath.Join(b.config.Out, ollamarun.EngineLog)
	}
	if log != "" {
		if server.ServerLog, err = ollamarun.OpenServerLog(log); err != nil {
			return err
		}
	}
	server.Exclusive = b.config.Exclusive
	if b.config.Engine == sweep.EngineEmbedded || !server.Local() {
		return nil
	}
	server.Monitor = ollamarun.StartGPUMonitor(b.ctx)
	b.atEnd(server.Monitor.Close)
	for _, gpu := range server.Monitor.Now() {
		if gpu.Utilization < busyPercent {
			continue
		}
		text := fmt.Sprintf("other models: GPU %d is busy before the sweep starts (%d %%, %d MiB in use): rates will be too low; stop what uses it", gpu.Index, gpu.Utilization, gpu.MemoryMiB)
		if b.config.Exclusive {
			return fmt.Errorf("%s, or leave -exclusive out", text)
		}
		fmt.Fprintln(b.say, "warning: "+text)
		store.Warn(text)
	}
	return nil
}
