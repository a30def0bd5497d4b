// Package parse turns what Ollama prints into figures and failure classes: the
// summary of `ollama run --verbose`, the server's log, the error texts of servers,
// runners and the command, and the readings of nvidia-smi. What it returns is of
// package measurement.
//
// It reads no file, asks no server and looks at no clock.
package parse
