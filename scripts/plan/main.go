// Command plan estimates what a sweep will cost before it starts: cells, time with each
// strategy, and memory compared with that of the GPUs. It loads no model without -measure.
//
//	go run ./scripts/plan -config my.yaml
//	go run ./scripts/plan -config my.yaml -measure    # measure one cell first
//	go run ./scripts/plan -config my.yaml -shards 20  # on up to 20 machines
//
// Flags of the sweep work here too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/ollama-sweep/ollama-sweep/internal/arguments"
	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
	"github.com/ollama-sweep/ollama-sweep/internal/plan"
	"github.com/ollama-sweep/ollama-sweep/internal/setup"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	release()
	os.Exit(code)
}

// engineSource is the embedded engine's module, from the repository's root.
const engineSource = "scripts/engine"

// run is the command with its arguments and streams. It returns the exit code:
// 2 for invalid arguments, 1 for other errors.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("plan", flag.ContinueOnError)
	cfg := flags.String("config", "testdata/demo.yaml", "`file` that describes the sweep")
	measure := flags.Bool("measure", false, "measure one cell first, into the out folder")
	var overrides config.Overrides
	overrides.Register(flags)
	in := plan.Input{Now: time.Now()}
	flags.Func("gpu-memory", "`size` of the GPUs' memory together, like 24GB, where nvidia-smi can't report it", func(s string) error {
		n, err := humanize.ParseBytes(s)
		in.GPUBytes = int64(min(n, 1<<60))
		return err
	})
	flags.IntVar(&in.Shards, "shards", 0, "estimate the time of up to `N` machines that share the grid")
	server := serverFlags(flags)
	if code, ok := arguments.Parse(flags, args, stdout, stderr, "go run ./scripts/plan -h"); !ok {
		return code
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "plan: unexpected argument %q: name the config with -config\n", flags.Arg(0))
		return 2
	}
	if err := server(memory.Settings{}).Check(); err != nil {
		fmt.Fprintln(stderr, "plan:", err)
		return 2
	}
	options := setup.Options{Config: *cfg, Overrides: &overrides, EngineSource: engineSource, Stdout: stdout}
	if err := printPlan(ctx, options, in, server, *measure); err != nil {
		fmt.Fprintln(stderr, "plan:", lines.Text(err.Error()))
		return 1
	}
	return 0
}

// serverFlags registers the flags for settings of the server that its log may not report. The
// returned function overrides settings with those that were given.
func serverFlags(flags *flag.FlagSet) func(memory.Settings) memory.Settings {
	var given []func(*memory.Settings)
	flags.Func("kv-cache-type", "the server's OLLAMA_KV_CACHE_TYPE: `f16`, q8_0 or q4_0 (default: from its log)", func(text string) error {
		t, err := memory.ParseCacheType(text)
		given = append(given, func(s *memory.Settings) { s.CacheType = t })
		return err
	})
	flags.Func("flash-attention", "whether the server uses flash attention, `on` (the default from 0.30) or off", func(text string) error {
		if text != "on" && text != "off" {
			return fmt.Errorf("give on or off")
		}
		given = append(given, func(s *memory.Settings) { s.FlashOff = text == "off" })
		return nil
	})
	flags.Func("parallel", "the server's OLLAMA_NUM_PARALLEL, `N` (default: from its log, or 1)", func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("give a number of at least 1")
		}
		given = append(given, func(s *memory.Settings) { s.Parallel = n })
		return nil
	})
	return func(s memory.Settings) memory.Settings {
		for _, set := range given {
			set(&s)
		}
		return s
	}
}

// printPlan measures a cell if requested, reads the checkpoint and the server's figures, and prints
// the plan.
func printPlan(ctx context.Context, o setup.Options, in plan.Input, server func(memory.Settings) memory.Settings, measure bool) (err error) {
	if in.Config, err = config.Read(o.Config, o.Overrides); err != nil {
		return err
	}
	if err := setup.NameBinaries(ctx, &in.Config); err != nil {
		return err
	}
	if err := in.Check(); err != nil {
		return err
	}
	if measure {
		if err := measureOne(ctx, o); err != nil {
			return err
		}
		in.Config.Fresh = checkpoint.FreshNever // the measurement has started a fresh checkpoint
	}
	if in.Checkpoint, err = saved(in.Config); err != nil {
		return err
	}
	if in.Checkpoint != nil {
		in.Settings = in.Settings.FromServer(shared(in.Checkpoint.Sweep.Settings, in.Config.Grid().Settings))
	}
	in.Settings = server(in.Settings)
	if err := in.Settings.Check(); err != nil {
		return err
	}
	known, err := setup.Inspect(ctx, in.Config, o)
	if err == nil {
		in.Model = &known.Model
	} else {
		in.NoModel = err.Error()
	}
	in.Settings.Before030 = check.Before(known.Version, "0.30.0")
	if in.GPUBytes == 0 {
		in.GPUBytes = known.GPUBytes
	}
	p, err := plan.Make(in)
	if err != nil {
		return err
	}
	prose := lines.Prose(o.Stdout)
	return errors.Join(p.Print(prose), prose.Flush())
}

// shared returns the variables of a server's environment without those of axes, which are of the server that
// ran last.
func shared(environment map[string]string, axes []cell.SettingAxis) map[string]string {
	environment = maps.Clone(environment)
	for _, a := range axes {
		s, _ := cell.SettingOf(a.Name)
		delete(environment, s.Env)
	}
	return environment
}

// measureOne measures the next cell of the sweep, as the sweep itself does.
func measureOne(ctx context.Context, o setup.Options) (err error) {
	o.Cells = 1
	b, err := setup.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	summary := b.Run(ctx, func(_ string, measure func() sweep.Outcome) { measure() })
	if summary.Stop != nil && !errors.Is(summary.Stop, sweep.ErrBudget) {
		return summary.Stop
	}
	return nil
}

// saved reads the checkpoint of the out folder. It is nil where there is none or the sweep
// starts over.
func saved(cfg config.Config) (*checkpoint.Checkpoint, error) {
	if cfg.Fresh == checkpoint.FreshAlways {
		return nil, nil
	}
	cp, err := checkpoint.Load(filepath.Join(cfg.Out, checkpoint.FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return cp, err
}
