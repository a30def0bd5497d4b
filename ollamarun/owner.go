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

// The name of a temporary model identifies the process that created it:
//
//	ollama-sweep-tmp-1f3a9c07d2e4-4711-88123-1
//
// is the first model of process 4711, which started at 88123 by the machine's clock; 1f3a9c07d2e4 is
// a hash of the machine, its boot and the process namespace. If there is no such process, or if it
// started at another time, the model is left over from a process that has ended. That can't be
// checked for another machine, boot or namespace; there the list in the out folder decides, see
// ModelList. Names of earlier releases contain only the machine's name and the process, which two
// machines can share, so their owner is never certain.
var (
	temporaryName = regexp.MustCompile(`^ollama-sweep-tmp-(?:([0-9a-f]{12})-([0-9]{1,9})-([0-9]{1,18})|[0-9a-f]{8}-[0-9]{1,9})-[0-9]{1,9}(?::latest)?$`)

	temporaryCount atomic.Int32

	thisSystem = newSystem(theseProcesses)
)

// modelOwner identifies the process that created a temporary model.
type modelOwner struct {
	place string // a hash of machine, boot and process namespace
	pid   int
	start uint64 // 0 if unknown
}

// system is the machine, boot and process namespace that this process runs in.
type system struct {
	processes
	self modelOwner
	// identified is false if the system can't be distinguished from all others. Its place is then
	// random, so that two sweeps at least never use the same name.
	identified bool
}

// processes looks up processes in the system's process table.
type processes interface {
	// place returns a text that is unique to the machine, boot and process namespace; ok is false if
	// there is none.
	place() (text string, ok bool)
	// start returns when a process started, by a clock that is never set. It returns errEnded if
	// there certainly is no such process.
	start(pid int) (uint64, error)
}

// errEnded is certain: a process that is merely hidden from this user is another error.
var errEnded = errors.New("the process has ended")

// newSystem identifies this process by a process table.
func newSystem(p processes) system {
	s := system{processes: p, self: modelOwner{pid: os.Getpid()}}
	place, ok := p.place()
	start, err := p.start(s.self.pid)
	if s.identified = ok && err == nil && start > 0; s.identified {
		s.self.start = start
	} else {
		place = rand.Text()
	}
	sum := sha256.Sum256([]byte(place))
	s.self.place = hex.EncodeToString(sum[:6])
	return s
}

// newName returns a name for a temporary model that no other has, of this process or another one.
func (o modelOwner) newName() string {
	return fmt.Sprintf("ollama-sweep-tmp-%s-%d-%d-%d", o.place, o.pid, o.start, temporaryCount.Add(1))
}

// ownerOf parses a temporary model's name; ok is false for other names and those of earlier releases.
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

// ended reports whether a temporary model was created on this system, by a process that has
// certainly ended.
func (s system) ended(model string) bool {
	o, ok := ownerOf(model)
	if !ok || !s.has(o) {
		return false
	}
	start, err := s.start(o.pid)
	return errors.Is(err, errEnded) || err == nil && start != o.start
}

// alive reports whether a temporary model was created by a process that still runs on this system.
func (s system) alive(model string) bool {
	o, ok := ownerOf(model)
	if !ok || !s.has(o) {
		return false
	}
	start, err := s.start(o.pid)
	return err == nil && start == o.start
}

// has reports whether the owner is, or was, a process of this system.
func (s system) has(o modelOwner) bool {
	return s.identified && o.place == s.self.place && o.pid > 0 && o.start > 0
}

// leftover reports whether a temporary model was created on this system by a process that has ended.
func leftover(model string) bool { return thisSystem.ended(model) }
