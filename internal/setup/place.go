package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// given returns the name that the user has for this machine, empty for none.
func given() string { return report.OneLine(os.Getenv("SWEEP_HOST")) }

// hostName returns what the machine that measures is called where several share a
// sweep: SWEEP_HOST, where jobs of one machine have GPUs of their own, or its name.
func hostName(server *ollamarun.Server) (string, error) {
	if name := given(); name != "" {
		return name, nil
	}
	if !server.Local() {
		return server.URL.Hostname(), nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("%w: name this machine in SWEEP_HOST", err)
	}
	return name, nil
}

// place returns where the sweep is measured.
func (b *Session) place(server *ollamarun.Server) (p checkpoint.Place, err error) {
	if b.config.Engine != config.EngineEmbedded {
		p.Host = server.Address()
	}
	if p.Machine, err = hostName(server); err != nil {
		return p, err
	}
	switch {
	case given() != "":
		p.Named = true
	case !server.Local():
	case inContainer(exists, os.Getenv):
		p.Machine = "" // it has a new name in each container
	default:
		p.MachineID = machineID()
	}
	return p, nil
}

// inContainer reports whether this process is in a container, by what Docker, Podman, Kubernetes and
// systemd-nspawn leave there.
func inContainer(exists func(file string) bool, getenv func(string) string) bool {
	return exists("/.dockerenv") || exists("/run/.containerenv") || getenv("KUBERNETES_SERVICE_HOST") != "" || getenv("container") != ""
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// machineID returns a number of this machine that stays when it is renamed, empty where there is
// none. It is a hash: machine-id(5) asks for the number itself to be kept secret.
func machineID() string {
	id, err := os.ReadFile("/etc/machine-id")
	text := strings.TrimSpace(string(id))
	if err != nil || len(text) != 32 { // as "uninitialized"
		return ""
	}
	sum := sha256.Sum256([]byte("ollama-sweep\n" + text))
	return hex.EncodeToString(sum[:8])
}
