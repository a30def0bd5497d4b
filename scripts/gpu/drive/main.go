// Command drive runs prepared measurements, unattended, on a GPU that is available only for minutes.
// Each stage gets a share of the time: a stage that can't begin in time is skipped, one that exceeds
// its time is stopped, and the run ends a minute before the limit. Results are written to the out
// folder after each stage.
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
	"github.com/ollama-sweep/ollama-sweep/internal/lines"
)

func main() {
	begun := time.Now()
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, begun, os.Args[1:], os.Stdout, os.Stderr)
	release()
	os.Exit(code)
}

// margin is the time between the end of the run and the limit.
const margin = time.Minute

// run runs the command and returns its exit code: 2 for invalid arguments, 1 if a stage failed.
func run(ctx context.Context, begun time.Time, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("drive", flag.ContinueOnError)
	limit := flags.Duration("limit", 9*time.Minute, "`time` after which the caller ends the run; it ends by itself a minute before")
	bundle := flags.String("bundle", "", "`folder` with build, model and sweep.test")
	out := flags.String("out", "", "`folder` for the archive and the summary")
	work := flags.String("work", "", "scratch `folder`, which is kept (default: a temporary one, which is removed)")
	only := flags.String("only", "", "comma-separated `stages` to run, with the stages that they need (default: all)")
	earlier := flags.String("earlier", "", "`archive` of an earlier run whose sweeps are resumed")
	port := flags.Int("port", 41434, "`port` of the server, on loopback")
	small := flags.Bool("small", false, "use a small model and small prompts, for a rehearsal on a CPU")
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
	case *limit <= margin:
		fmt.Fprintf(stderr, "drive: -limit %v is too short: the run ends %v before it\n", *limit, margin)
		return 2
	}
	d, err := newDrive(*bundle, *out, *work, *small)
	if err == nil {
		d.progress, d.server.port = lines.Comments(stdout), *port
		d.schedule = schedule{clock: wallClock{}, end: begun.Add(*limit - margin), onStage: d.stageDone}
		d.schedule.stages, err = selectStages(d.stages(), names)
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
