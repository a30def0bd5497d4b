// Package arguments reads the flags of a command. A wrong one is answered by what is
// wrong with it and where the flags are listed; package flag alone prints all of them
// below the message, which for a sweep are 130 lines.
package arguments

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Parse reads args into flags, which must be of flag.ContinueOnError and have a Usage. Where the command is
// over with that it returns false and the exit code: 0 for -h, which prints the usage to
// stdout, and 2 for flags that make no sense, which are named on stderr. help is the command
// that lists them.
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

// Without returns the flags whose names do not begin so, in a set to be printed.
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
