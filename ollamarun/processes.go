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

// procFolder looks up processes in Linux's /proc.
type procFolder struct {
	root       string
	machineIDs []string // files; the first that can be read is used
	exists     func(pid int) bool
}

// place includes the time namespace, which start times depend on. It fails if /proc is mounted from
// another process namespace, whose process IDs mean nothing here. Cloned machines share their machine
// ID, but not their boot ID.
func (p procFolder) place() (string, bool) {
	self, errSelf := os.Readlink(filepath.Join(p.root, "self"))
	boot, errBoot := os.ReadFile(filepath.Join(p.root, "sys/kernel/random/boot_id"))
	namespace, errNamespace := os.Readlink(filepath.Join(p.root, "self/ns/pid"))
	if errors.Join(errSelf, errBoot, errNamespace) != nil || self != strconv.Itoa(os.Getpid()) || len(bytes.TrimSpace(boot)) == 0 {
		return "", false
	}
	clocks, _ := os.Readlink(filepath.Join(p.root, "self/ns/time")) // none before Linux 5.6
	var machine []byte                                              // may stay empty: the boot ID is random
	for _, file := range p.machineIDs {
		var err error
		if machine, err = os.ReadFile(file); err == nil {
			break
		}
	}
	return fmt.Sprintf("%s\n%s\n%s\n%s", machine, boot, namespace, clocks), true
}

// start returns the start time in clock ticks since the boot. A zombie counts as ended. Another user's
// process can be hidden in /proc (mount option hidepid).
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
	// 4711 (a name) S 1 4711 … : the name can contain anything, the start time is the 22nd field.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("%d fields after the name in the stat of process %d", len(fields), pid)
	}
	if state := fields[0]; state == "Z" || state == "X" {
		return 0, errEnded
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// processExists reports whether there is a process with this ID, also for other users' processes.
func processExists(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
