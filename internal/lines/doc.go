// Package lines writes text for people to a stream that programs parse too: standard output, in which
// benchstat, `go test` and GitHub's runner look for their lines. Whatever text a server, a command,
// a file or a name contains, none of its lines can be mistaken for one of those. Benchmark lines
// themselves are not written with this package.
package lines
