package ollamarun

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endedOwner returns a process of this machine that has ended.
func endedOwner(t *testing.T) modelOwner {
	t.Helper()
	cmd := exec.Command("true")
	require.NoError(t, cmd.Run())
	return modelOwner{thisSystem.self.place, cmd.Process.Pid, 1}
}

func TestOwner(t *testing.T) {
	self := thisSystem.self
	assert.True(t, thisSystem.identified)
	assert.NotZero(t, self.start)
	name := self.newName()
	assert.Less(t, len(name), 80, "servers don't accept longer names")
	assert.NotEqual(t, name, self.newName())
	for _, name := range []string{name, name + ":latest"} {
		o, ok := ownerOf(name)
		assert.True(t, ok)
		assert.Equal(t, self, o)
	}
	for _, name := range []string{"tiny:latest", "ollama-sweep-tmp", "my/" + name, name + ":q4", strings.Replace(name, fmt.Sprint(self.pid), "99999999999999", 1), "ollama-sweep-tmp-1f3a9c07-4711-1"} {
		_, ok := ownerOf(name)
		assert.False(t, ok, name)
	}
	assert.True(t, temporaryName.MatchString("ollama-sweep-tmp-1f3a9c07-4711-1:latest"), "of an earlier release")
}

// anotherProcess is the ID of the process that the tests look up.
const anotherProcess = 1 << 22 // above all process IDs of Linux

// machine creates a /proc in which there are this process and anotherProcess, with the given stat. Exists
// is whether anotherProcess can be signalled.
func machine(t *testing.T, id, boot, namespace, stat string, exists bool) procFolder {
	t.Helper()
	dir := t.TempDir()
	own := strconv.Itoa(os.Getpid())
	for name, text := range map[string]string{
		"dbus-machine-id":                   id,
		"sys/kernel/random/boot_id":         boot,
		fmt.Sprint(anotherProcess, "/stat"): stat,
		own + "/stat":                       own + " (go) S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1 1 1\n",
	} {
		if text == "" {
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	require.NoError(t, os.Symlink(own, filepath.Join(dir, "self")))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "self/ns"), 0o755))
	require.NoError(t, os.Symlink(namespace, filepath.Join(dir, "self/ns/pid")))
	ids := []string{filepath.Join(dir, "machine-id"), filepath.Join(dir, "dbus-machine-id")}
	return procFolder{dir, ids, func(pid int) bool { return exists }}
}

// TestOwnerEnded checks which temporary models certainly belong to a process that has ended.
func TestOwnerEnded(t *testing.T) {
	const (
		namespace = "pid:[4026531836]"
		stat      = "4194304 (a) b (c) S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 88123 123456 100 18446744073709551615\n"
	)
	here := machine(t, "a", "b", namespace, stat, true)
	start, err := here.start(anotherProcess)
	require.NoError(t, err)
	require.Equal(t, uint64(88123), start)
	owner := modelOwner{newSystem(here).self.place, anotherProcess, start}
	name := owner.newName()
	elsewhere := machine(t, "a", "b", namespace, "", false) // in which this process has another ID
	require.NoError(t, os.CopyFS(filepath.Join(elsewhere.root, "1"), os.DirFS(filepath.Join(elsewhere.root, strconv.Itoa(os.Getpid())))))
	require.NoError(t, os.Remove(filepath.Join(elsewhere.root, "self")))
	require.NoError(t, os.Symlink("1", filepath.Join(elsewhere.root, "self")))
	clocks := machine(t, "a", "b", namespace, "", false)
	require.NoError(t, os.Symlink("time:[4026532001]", filepath.Join(clocks.root, "self/ns/time")))
	for what, test := range map[string]struct {
		processes    procFolder
		name         string
		ended, alive bool
	}{
		"its process runs":                   {here, name, false, true},
		"its process has ended":              {machine(t, "a", "b", namespace, "", false), name, true, false},
		"its process is a zombie":            {machine(t, "a", "b", namespace, strings.Replace(stat, ") S 1", ") Z 1", 1), true), name, true, false},
		"its process is hidden":              {machine(t, "a", "b", namespace, "", true), name, false, false},
		"another process has its ID":         {machine(t, "a", "b", namespace, strings.Replace(stat, "88123", "99123", 1), true), name, true, false},
		"another machine of the same name":   {machine(t, "x", "y", namespace, "", false), name, false, false},
		"a clone of the machine":             {machine(t, "a", "y", namespace, "", false), name, false, false},
		"another machine of the same boot":   {machine(t, "x", "b", namespace, "", false), name, false, false},
		"another container":                  {machine(t, "a", "b", "pid:[4026532999]", "", false), name, false, false},
		"another clock":                      {clocks, name, false, false},
		"a container without a machine's ID": {machine(t, "", "b", namespace, "", false), name, false, false},
		"an unidentified system":             {procFolder{root: t.TempDir(), exists: func(int) bool { return false }}, name, false, false},
		"a /proc of another namespace":       {elsewhere, name, false, false},
		"a truncated stat":                   {machine(t, "a", "b", namespace, "4711 (a) S 1", true), name, false, false},
		"of an earlier release":              {machine(t, "a", "b", namespace, "", false), "ollama-sweep-tmp-1f3a9c07-4711-1", false, false},
		"of a system without start times":    {machine(t, "a", "b", namespace, "", false), modelOwner{owner.place, anotherProcess, 0}.newName(), false, false},
		"of no process":                      {machine(t, "a", "b", namespace, "", false), modelOwner{owner.place, 0, start}.newName(), false, false},
	} {
		s := newSystem(test.processes)
		assert.Equal(t, test.ended, s.ended(test.name), what)
		assert.Equal(t, test.alive, s.alive(test.name), what)
	}
}

// TestOwnerUnknown checks that on systems without an identity two sweeps with the same process ID use
// different names, and that neither treats the other's models as left over.
func TestOwnerUnknown(t *testing.T) {
	for what, p := range map[string]procFolder{
		"nothing":   {root: t.TempDir(), exists: func(int) bool { return false }},
		"no boot":   machine(t, "a", "", "pid:[1]", "", false),
		"no bootID": machine(t, "a", "\n", "pid:[1]", "", false),
	} {
		one, two := newSystem(p), newSystem(p)
		assert.NotEqual(t, one.self.place, two.self.place, what)
		_, ok := ownerOf(one.self.newName())
		assert.True(t, ok, what)
		assert.False(t, two.ended(one.self.newName()) || one.ended(one.self.newName()), what)
	}
}

// TestProcessExists covers this process, one that may belong to another user, and one that does not exist.
func TestProcessExists(t *testing.T) {
	assert.True(t, processExists(os.Getpid()))
	assert.True(t, processExists(1))
	assert.False(t, processExists(anotherProcess))
}
