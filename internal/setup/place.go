package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
)

// namedHost returns the name that the user gives this machine, empty for none.
func namedHost() string { return report.OneLine(os.Getenv("SWEEP_HOST")) }

// located is what the place of a sweep needs of its server.
type located interface {
	Local() bool
	Address() string
	Hostname() string
}

// hostName returns the name of the machine that measures, for a sweep that several
// share: SWEEP_HOST, with which jobs on different GPUs of one machine have different
// names, or the machine's own name.
func hostName(server located) (string, error) {
	if name := namedHost(); name != "" {
		return name, nil
	}
	if !server.Local() {
		return server.Hostname(), nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("%w: set SWEEP_HOST to a name for this machine", err)
	}
	return name, nil
}

// place returns the server's address and machine.
func (b *Sweep) place(server located) (p checkpoint.Place, err error) {
	if !b.config.StartsServer() {
		p.Host = server.Address()
	}
	if p.Machine, err = hostName(server); err != nil {
		return p, err
	}
	switch {
	case namedHost() != "":
		p.Named = true
	case !server.Local():
	case inContainer(exists, os.Getenv):
		p.Machine = "" // each container has another name
	default:
		p.MachineID = machineID()
	}
	return p, nil
}

// inContainer reports whether this process is in a container, by the files and variables of Docker,
// Podman, Kubernetes and systemd-nspawn.
func inContainer(exists func(file string) bool, getenv func(string) string) bool {
	return exists("/.dockerenv") || exists("/run/.containerenv") || getenv("KUBERNETES_SERVICE_HOST") != "" || getenv("container") != ""
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// machineID returns an identifier of this machine that stays when it is renamed, empty where there is
// none. It is a hash, because machine-id(5) says that the number itself is confidential.
func machineID() string {
	id, err := os.ReadFile("/etc/machine-id")
	text := strings.TrimSpace(string(id))
	if err != nil || len(text) != 32 { // such as "uninitialized"
		return ""
	}
	sum := sha256.Sum256([]byte("ollama-sweep\n" + text))
	return hex.EncodeToString(sum[:8])
}
