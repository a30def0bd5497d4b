package ollamarun

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gone returns the owner that a process of this machine was, which has ended.
func gone(t *testing.T) modelOwner {
	t.Helper()
	cmd := exec.Command("true")
	require.NoError(t, cmd.Run())
	return modelOwner{thisSystem.place(), cmd.Process.Pid, 1}
}

func TestOwner(t *testing.T) {
	self := thisSystem.self()
	assert.NotZero(t, self.start)
	name := self.newName()
	assert.Less(t, len(name), 80, "a server takes no longer ones")
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

// machine makes the files of a system in which one process is, of that stat.
func machine(t *testing.T, id, boot, namespace, stat string) system {
	t.Helper()
	dir := t.TempDir()
	s := system{proc: dir, machineID: filepath.Join(dir, "machine-id")}
	for name, text := range map[string]string{"machine-id": id, "sys/kernel/random/boot_id": boot, "4711/stat": stat} {
		if text == "" {
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "self/ns"), 0o755))
	require.NoError(t, os.Symlink(namespace, filepath.Join(dir, "self/ns/pid")))
	return s
}

// TestOwnerEnded: which temporary models are surely of a process that is gone.
func TestOwnerEnded(t *testing.T) {
	const (
		namespace = "pid:[4026531836]"
		stat      = "4711 (a) b (c) S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 88123 123456 100 18446744073709551615\n"
	)
	here := machine(t, "a", "b", namespace, stat)
	start, err := here.start(4711)
	require.NoError(t, err)
	require.Equal(t, uint64(88123), start)
	name := modelOwner{here.place(), 4711, start}.newName()
	for what, test := range map[string]struct {
		system       system
		name         string
		ended, alive bool
	}{
		"its process lives":                        {here, name, false, true},
		"its process is gone":                      {machine(t, "a", "b", namespace, ""), name, true, false},
		"its process has ended, and nobody waited": {machine(t, "a", "b", namespace, strings.Replace(stat, ") S 1", ") Z 1", 1)), name, true, false},
		"another process has its number":           {machine(t, "a", "b", namespace, strings.Replace(stat, "88123", "99123", 1)), name, true, false},
		"another machine of the same name":         {machine(t, "x", "y", namespace, ""), name, false, false},
		"a copy of the machine":                    {machine(t, "a", "y", namespace, ""), name, false, false},
		"another container":                        {machine(t, "a", "b", "pid:[4026532999]", ""), name, false, false},
		"a container without a machine's ID":       {machine(t, "", "b", namespace, ""), name, false, false},
		"a system that tells nothing of itself":    {system{t.TempDir(), "none"}, name, false, false},
		"a stat that is cut":                       {machine(t, "a", "b", namespace, "4711 (a) S 1"), name, false, false},
		"of an earlier release":                    {machine(t, "a", "b", namespace, ""), "ollama-sweep-tmp-1f3a9c07-4711-1", false, false},
		"of a system that told no time":            {machine(t, "a", "b", namespace, ""), modelOwner{here.place(), 4711, 0}.newName(), false, false},
	} {
		assert.Equal(t, test.ended, test.system.ended(test.name), what)
		assert.Equal(t, test.alive, test.system.alive(test.name), what)
	}
}
