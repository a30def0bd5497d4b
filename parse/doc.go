// Package parse turns what Ollama says into figures and failure classes: the
// summary that `ollama run --verbose` prints, and the error texts of servers,
// runners and the command. It also holds the types of both, since every other
// package speaks in them.
//
// It reads no file, asks no server and looks at no clock.
package parse
