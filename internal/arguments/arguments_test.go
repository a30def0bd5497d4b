package arguments

import (
	"bytes"
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name           string
		args           []string
		usage          bool // the command has its own Usage
		code           int
		ok             bool
		stdout, stderr string
	}{
		{name: "right", args: []string{"-repeat", "3"}, ok: true},
		{name: "unknown", args: []string{"-nosuch", "1"}, code: 2, stderr: "flag provided but not defined: -nosuch\n`sweep -h` lists the flags\n"},
		{name: "value", args: []string{"-repeat", "x"}, code: 2, stderr: "invalid value \"x\" for flag -repeat: parse error\n`sweep -h` lists the flags\n"},
		{name: "no value", args: []string{"-repeat"}, code: 2, stderr: "flag needs an argument: -repeat\n`sweep -h` lists the flags\n"},
		{name: "syntax", args: []string{"---"}, code: 2, stderr: "bad flag syntax: ---\n`sweep -h` lists the flags\n"},
		{name: "help", args: []string{"-h"}, stdout: "Usage of sweep:\n  -repeat int\n    \tprompts\n"},
		{name: "help of its own", args: []string{"-help"}, usage: true, stdout: "sweep FILE\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			flags := flag.NewFlagSet("sweep", flag.ContinueOnError)
			flags.Int("repeat", 0, "prompts")
			if test.usage {
				flags.Usage = func() { fmt.Fprintln(flags.Output(), "sweep FILE") }
			}
			code, ok := Parse(flags, test.args, &stdout, &stderr, "sweep -h")
			assert.Equal(t, test.code, code)
			assert.Equal(t, test.ok, ok)
			assert.Equal(t, test.stdout, stdout.String())
			assert.Equal(t, test.stderr, stderr.String())
		})
	}
}

func TestWithout(t *testing.T) {
	flags := flag.NewFlagSet("sweep", flag.ContinueOnError)
	flags.Int("repeat", 0, "prompts")
	flags.Int("test.count", 0, "runs")
	var left []string
	Without("test.", flags).VisitAll(func(f *flag.Flag) { left = append(left, f.Name) })
	assert.Equal(t, []string{"repeat"}, left)
}
