package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// usersServers returns the servers that the user may have on this machine: at Ollama's default address,
// and at that of OLLAMA_HOST.
func usersServers(ollamaHost string) (servers []*ollamarun.Server) {
	for _, host := range []string{"", ollamaHost} {
		u, user, err := ollamarun.ParseHost(host)
		if err != nil {
			continue // no server of the user's works with it either
		}
		s := &ollamarun.Server{URL: u, User: user}
		if s.Local() && (len(servers) == 0 || servers[0].Address() != s.Address()) {
			servers = append(servers, s)
		}
	}
	return servers
}

// usersServerTimeout limits the request to a server of the user's.
const usersServerTimeout = 2 * time.Second

// warnOfUsersServers warns of models in the memory of the user's own server while the sweep measures on
// another one on the same machine. With -exclusive it is an error.
func (b *Sweep) warnOfUsersServers(ctx context.Context, store *checkpoint.Store) error {
	if b.config.Engine != config.EngineOwn {
		return nil
	}
	for _, server := range usersServers(os.Getenv("OLLAMA_HOST")) {
		ctx, cancel := context.WithTimeout(ctx, usersServerTimeout)
		names, err := server.InMemory(ctx)
		cancel()
		if err != nil || len(names) == 0 { // most likely no server runs there
			continue
		}
		text := fmt.Sprintf("other models: your Ollama server at %s has %s in memory: the sweep has less memory, and requests to that server make rates too low; unload: %s; or stop the server (a system service: sudo systemctl stop ollama)", server.Address(), strings.Join(names, ", "), stopCommands(server.Address(), names))
		if b.config.Exclusive {
			return errors.New(text + ", or leave -exclusive out")
		}
		fmt.Fprintln(b.log, "warning: "+text)
		store.Warn(text)
	}
	return nil
}

// stopCommands returns the commands that unload models from a server.
func stopCommands(address string, names []string) string {
	var commands []string
	for _, name := range names {
		commands = append(commands, fmt.Sprintf("OLLAMA_HOST=%s ollama stop %s", shell.Quoted(address), shell.Quoted(name)))
	}
	return strings.Join(commands, " && ")
}
