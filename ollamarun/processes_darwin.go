package ollamarun

import "golang.org/x/sys/unix"

// theseProcesses is the process table of this machine.
var theseProcesses kernelTable

// kernelTable looks up processes in the process table of macOS, which has no process namespaces.
type kernelTable struct{}

// place is the identifier of this boot.
func (kernelTable) place() (string, bool) {
	boot, err := unix.Sysctl("kern.bootsessionuuid") // random for each boot
	return boot, err == nil && boot != ""
}

// start returns the start time in microseconds since 1970, as recorded when the process started.
func (kernelTable) start(pid int) (uint64, error) {
	if !processExists(pid) {
		return 0, errEnded
	}
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return 0, err
	}
	const zombie = 5 // SZOMB of sys/proc.h
	if p.Proc.P_stat == zombie {
		return 0, errEnded
	}
	return uint64(p.Proc.P_starttime.Sec)*1e6 + uint64(p.Proc.P_starttime.Usec), nil
}
