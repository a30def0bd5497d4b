// Package arguments parses the flags of a command. For a wrong flag it prints the error and the
// command that lists all flags. Package flag would print the whole list below the error, which
// for a sweep has 130 lines.
package arguments

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Parse parses args into flags, a set with flag.ContinueOnError and a Usage. If ok is false, the
// command has to exit with code: 0 after -h, for which Parse prints the usage to stdout, or 2
// after an error, which it prints to stderr with help, the command that lists the flags.
func Parse(flags *flag.FlagSet, args []string, stdout, stderr io.Writer, help string) (code int, ok bool) {
	usage := flags.Usage
	flags.Usage = func() {}
	flags.SetOutput(stderr)
	err := flags.Parse(args)
	flags.Usage = usage
	switch {
	case err == nil:
		return 0, true
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stdout)
		usage()
		return 0, false
	}
	fmt.Fprintf(stderr, "`%s` lists the flags\n", help)
	return 2, false
}

// Without returns a set, for printing, of the flags whose names do not begin with prefix.
func Without(prefix string, flags *flag.FlagSet) *flag.FlagSet {
	rest := flag.NewFlagSet(flags.Name(), flag.ContinueOnError)
	rest.SetOutput(flags.Output())
	flags.VisitAll(func(f *flag.Flag) {
		if !strings.HasPrefix(f.Name, prefix) {
			rest.Var(f.Value, f.Name, f.Usage)
		}
	})
	return rest
}
