// Command drive measures on a GPU that is at hand for minutes, by a clock: every stage has its
// share of the time, one that can't begin in time is skipped and one that is late is stopped, and
// a minute before the limit it ends by itself. What is done is in the out folder at once.
//
//	drive -limit 9m -bundle DIR -out DIR
//	drive -limit 9m -bundle DIR -out DIR -only probes,noise
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/arguments"
)

func main() {
	begun := time.Now()
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, begun, os.Args[1:], os.Stdout, os.Stderr)
	release()
	os.Exit(code)
}

// early is how long before the limit all is over.
const early = time.Minute

// run is the command with its arguments and streams. It returns the exit code: 2 for arguments that
// can't be understood, 1 where a stage failed.
func run(ctx context.Context, begun time.Time, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("drive", flag.ContinueOnError)
	limit := flags.Duration("limit", 9*time.Minute, "`time` that the caller gives; all is over a minute before")
	bundle := flags.String("bundle", "", "`folder` with build, model and sweep.test")
	out := flags.String("out", "", "`folder` for what is brought home")
	work := flags.String("work", "", "scratch `folder`, which stays (default: a temporary one, which does not)")
	only := flags.String("only", "", "`stages` to run, with commas between them, and those that they need")
	earlier := flags.String("earlier", "", "`archive` of an earlier run, whose sweeps are resumed")
	port := flags.Int("port", 41434, "`port` of loopback for the server")
	small := flags.Bool("small", false, "a small model and small prompts, for a rehearsal on a CPU")
	if code, ok := arguments.Parse(flags, args, stdout, stderr, "go run ./scripts/gpu/drive -h"); !ok {
		return code
	}
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	switch {
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "drive: unexpected argument %q\n", flags.Arg(0))
		return 2
	case *bundle == "" || *out == "":
		fmt.Fprintln(stderr, "drive: name the bundle with -bundle and the out folder with -out")
		return 2
	case *limit <= early:
		fmt.Fprintf(stderr, "drive: -limit %v: all is over %v before it\n", *limit, early)
		return 2
	}
	d, err := newDrive(*bundle, *out, *work, *small)
	if err == nil {
		d.say, d.server.port = stdout, *port
		d.schedule = schedule{clock: wallClock{}, end: begun.Add(*limit - early), noted: d.note}
		d.schedule.stages, err = chosen(d.stages(), names)
	}
	if err == nil && *earlier != "" {
		err = d.resume(*earlier)
	}
	if err != nil {
		fmt.Fprintln(stderr, "drive:", err)
		return 2
	}
	return d.run(ctx)
}
