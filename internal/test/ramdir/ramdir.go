// Package ramdir keeps the temporary folders of tests in memory. A test of a sweep syncs its checkpoint
// to disk after each sample, hundreds of times, and would wait for the disk and compute for the rest.
package ramdir

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	// sharedMemory is the file system in memory that Linux systems have.
	sharedMemory = "/dev/shm"
	// needed is the free space, in bytes, that no test exceeds. Docker's default is 64 MiB.
	needed = 1 << 30
	// noExec is the flag of Linux file systems that run no programs: tests run scripts that they write.
	noExec = 8
)

// Use makes t.TempDir create its folders in memory, if there is a file system for that. A TMPDIR that
// is set stays. It is for a TestMain.
func Use() {
	var fs unix.Statfs_t
	if os.Getenv("TMPDIR") != "" || unix.Statfs(sharedMemory, &fs) != nil {
		return
	}
	free := uint64(fs.Bavail) * uint64(fs.Bsize)
	if free >= needed && uint64(fs.Flags)&noExec == 0 && unix.Access(sharedMemory, unix.W_OK) == nil {
		os.Setenv("TMPDIR", sharedMemory)
	}
}
