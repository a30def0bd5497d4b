package ollamarun

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync/atomic"
)

// Temporary models carry a name that says whose they are:
//
//	ollama-sweep-tmp-1f3a9c07d2e4-4711-88123-1
//
// is the first of process 4711, which began at 88123 by the machine's clock; 1f3a9c07d2e4 stands for
// the machine, its boot and the namespace of processes. A process that is gone, or has begun at another time,
// left it there. Of another machine, boot or namespace nothing is known by the name alone: there the
// out folder tells, see Marks. Earlier releases knew the name of the machine and the process alone,
// which two machines can share; what they left is nobody's for sure.
var (
	temporaryName = regexp.MustCompile(`^ollama-sweep-tmp-(?:([0-9a-f]{12})-([0-9]{1,9})-([0-9]{1,18})|[0-9a-f]{8}-[0-9]{1,9})-[0-9]{1,9}(?::latest)?$`)

	temporaryCount atomic.Int32

	thisSystem = newSystem(theseProcesses)
)

// modelOwner is who has made a temporary model.
type modelOwner struct {
	place string // a hash of machine, boot and namespace of processes
	pid   int
	start uint64 // 0 where it can't be told
}

// system is the one that this process runs on.
type system struct {
	processes
	self modelOwner
	// known is false where a system can't be told from all others: its place is a random one then, so
	// that at least no two sweeps give the same name.
	known bool
}

// processes are those that a process can see.
type processes interface {
	// place returns a text that no other machine, boot or namespace of processes has; ok is false where
	// that can't be told.
	place() (text string, ok bool)
	// start returns when a process began, by a clock that does not change. It fails with errEnded where
	// there surely is no such process.
	start(pid int) (uint64, error)
}

var errEnded = errors.New("the process has ended")

func newSystem(p processes) system {
	s := system{processes: p, self: modelOwner{pid: os.Getpid()}}
	place, ok := p.place()
	start, err := p.start(s.self.pid)
	if s.known = ok && err == nil && start > 0; s.known {
		s.self.start = start
	} else {
		place = rand.Text()
	}
	sum := sha256.Sum256([]byte(place))
	s.self.place = hex.EncodeToString(sum[:6])
	return s
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
	if !ok || !s.has(o) {
		return false
	}
	start, err := s.start(o.pid)
	return errors.Is(err, errEnded) || err == nil && start != o.start
}

// alive reports whether a temporary model is of a process that lives on this machine.
func (s system) alive(model string) bool {
	o, ok := ownerOf(model)
	if !ok || !s.has(o) {
		return false
	}
	start, err := s.start(o.pid)
	return err == nil && start == o.start
}

// has reports whether the owner is, or was, a process that can be looked up here.
func (s system) has(o modelOwner) bool {
	return s.known && o.place == s.self.place && o.pid > 0 && o.start > 0
}

// leftover reports whether the model is a temporary one of a process of this machine that is gone.
func leftover(model string) bool { return thisSystem.ended(model) }
