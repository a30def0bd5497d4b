// Package parse turns the output of Ollama into figures and failure classes. It
// parses the summary that `ollama run --verbose` prints, the server's log,
// nvidia-smi's readings, and the error messages of servers, runners and the command.
// It also defines the types of these results, which all other packages use.
//
// It does not open files, send requests or read the clock.
package parse
