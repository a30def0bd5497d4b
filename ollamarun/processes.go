package ollamarun

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// procFolder looks processes up in Linux's /proc.
type procFolder struct {
	root       string
	machineIDs []string // files, of which the first that can be read counts
	exists     func(pid int) bool
}

// place also holds the namespace of clocks, which start times depend on. A mounted /proc can be that
// of another namespace of processes, whose numbers say nothing here. Machines that were copied share
// their ID, and not the boot's.
func (p procFolder) place() (string, bool) {
	self, errSelf := os.Readlink(filepath.Join(p.root, "self"))
	boot, errBoot := os.ReadFile(filepath.Join(p.root, "sys/kernel/random/boot_id"))
	namespace, errNamespace := os.Readlink(filepath.Join(p.root, "self/ns/pid"))
	if errors.Join(errSelf, errBoot, errNamespace) != nil || self != strconv.Itoa(os.Getpid()) || len(bytes.TrimSpace(boot)) == 0 {
		return "", false
	}
	clocks, _ := os.Readlink(filepath.Join(p.root, "self/ns/time")) // none before Linux 5.6
	var machine []byte                                              // the boot's alone is random
	for _, file := range p.machineIDs {
		var err error
		if machine, err = os.ReadFile(file); err == nil {
			break
		}
	}
	return fmt.Sprintf("%s\n%s\n%s\n%s", machine, boot, namespace, clocks), true
}

// start returns the time in ticks since the machine was started. A process that has ended and that
// nobody has waited for has ended all the same. Another user's can be hidden in /proc (hidepid).
func (p procFolder) start(pid int) (uint64, error) {
	stat, err := os.ReadFile(filepath.Join(p.root, strconv.Itoa(pid), "stat"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		if p.exists(pid) {
			return 0, fmt.Errorf("process %d is hidden: %w", pid, err)
		}
		return 0, errEnded
	}
	if err != nil {
		return 0, err
	}
	// 4711 (a name) S 1 4711 … : the name may hold anything, the time is the 22nd field.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("%d fields behind the name in the stat of process %d", len(fields), pid)
	}
	if state := fields[0]; state == "Z" || state == "X" {
		return 0, errEnded
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// processExists also finds other users' processes.
func processExists(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
