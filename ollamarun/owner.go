package ollamarun

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Temporary models carry a name that says whose they are:
//
//	ollama-sweep-tmp-1f3a9c07d2e4-4711-88123-1
//
// is the first of process 4711, which began 88123 ticks after the start of a machine, in whose boot
// and namespace of processes 1f3a9c07d2e4 is. A process that is gone, or has begun at another time,
// left it there. Of another machine, boot or namespace nothing is known by the name alone: there the
// out folder tells, see Marks. Earlier releases knew the name of the machine and the process alone,
// which two machines can share; what they left is nobody's for sure.
var (
	temporaryName = regexp.MustCompile(`^ollama-sweep-tmp-(?:([0-9a-f]{12})-([0-9]{1,9})-([0-9]{1,18})|[0-9a-f]{8}-[0-9]{1,9})-[0-9]{1,9}(?::latest)?$`)

	temporaryCount atomic.Int32
)

// modelOwner is who has made a temporary model.
type modelOwner struct {
	place string // machine, boot and namespace of processes; empty where they can't be told
	pid   int
	start uint64 // in ticks of the machine's clock; 0 where it can't be told
}

// system is where processes are looked up: the folder /proc, but for tests.
type system struct{ proc, machineID string }

var thisSystem = system{"/proc", "/etc/machine-id"}

// self is the owner that this process is.
func (s system) self() modelOwner {
	o := modelOwner{place: s.place(), pid: os.Getpid()}
	o.start, _ = s.start(o.pid) // 0 says that it is not known
	return o
}

// place returns a number for the machine, its boot and the namespace of processes. Machines that
// were copied share their ID, and not the boot's.
func (s system) place() string {
	machine, errMachine := os.ReadFile(s.machineID)
	boot, errBoot := os.ReadFile(filepath.Join(s.proc, "sys/kernel/random/boot_id"))
	namespace, errNamespace := os.Readlink(filepath.Join(s.proc, "self/ns/pid"))
	if errBoot != nil || errNamespace != nil {
		machine = nil
		if host, err := os.Hostname(); err == nil {
			machine = []byte(host)
		}
	} else if errMachine != nil {
		machine = nil // the boot's alone is random
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", machine, boot, namespace))
	return hex.EncodeToString(sum[:6])
}

// start returns when a process began, in ticks since the machine did. It fails with an error that is
// fs.ErrNotExist where there is no such process, or one that has ended and that nobody has waited for.
func (s system) start(pid int) (uint64, error) {
	stat, err := os.ReadFile(filepath.Join(s.proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	// 4711 (a name) S 1 4711 … : the name may hold anything, the time is the 22nd field.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("%d fields behind the name in the stat of process %d", len(fields), pid)
	}
	if state := fields[0]; state == "Z" || state == "X" {
		return 0, fs.ErrNotExist
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

func (o modelOwner) newName() string {
	return fmt.Sprintf("ollama-sweep-tmp-%s-%d-%d-%d", o.place, o.pid, o.start, temporaryCount.Add(1))
}

// ownerOf reads a temporary model's name. ok is false for other names and those of earlier releases.
func ownerOf(model string) (o modelOwner, ok bool) {
	match := temporaryName.FindStringSubmatch(model)
	if match == nil || match[1] == "" {
		return modelOwner{}, false
	}
	o.place = match[1]
	var errPID, errStart error
	o.pid, errPID = strconv.Atoi(match[2])
	o.start, errStart = strconv.ParseUint(match[3], 10, 64)
	return o, errPID == nil && errStart == nil
}

// ended reports whether a temporary model is one of this machine's since it was started, whose
// process is surely gone.
func (s system) ended(model string) bool {
	o, ok := ownerOf(model)
	if !ok || o.start == 0 || o.place != s.place() {
		return false
	}
	start, err := s.start(o.pid)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return true
	}
	return err == nil && start != o.start
}

// alive reports whether a temporary model is of a process that lives on this machine.
func (s system) alive(model string) bool {
	o, ok := ownerOf(model)
	if !ok || o.start == 0 || o.place != s.place() {
		return false
	}
	start, err := s.start(o.pid)
	return err == nil && start == o.start
}

// leftover reports whether the model is a temporary one of a process of this machine that is gone.
func leftover(model string) bool { return thisSystem.ended(model) }
