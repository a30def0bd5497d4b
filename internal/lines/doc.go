// Package lines writes text for people to a stream that programs read too: standard output, which
// benchstat, `go test` and GitHub's runner look for lines of their own. Whatever a server, a command,
// a file or a name puts into the text, no line of it can be taken for one of those. Benchmark lines
// themselves don't go through here.
package lines
