//go:build !darwin

package ollamarun

var theseProcesses = procFolder{"/proc", []string{"/etc/machine-id", "/var/lib/dbus/machine-id"}, processExists}
