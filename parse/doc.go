// Package parse turns Ollama's output into figures and failure classes: the summary that
// `ollama run --verbose` prints, the server's log, the error messages of servers, runners and
// the command, and nvidia-smi's readings. Its results are of package measurement.
//
// It reads no file, calls no server and reads no clock.
package parse
