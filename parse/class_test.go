package parse

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryClassHasARow checks that each class has a complete row.
func TestEveryClassHasARow(t *testing.T) {
	var rows []Class
	short := make(map[string]Class)
	for _, r := range classes {
		rows = append(rows, r.class)
		for i, v := 0, reflect.ValueOf(r); i < v.NumField(); i++ {
			assert.False(t, v.Field(i).IsZero(), "%s: %s is not set", r.class, v.Type().Field(i).Name)
		}
		assert.LessOrEqual(t, len(r.short), 5)
		assert.NotContains(t, short, r.short, "%s", r.class)
		short[r.short] = r.class
	}
	assert.ElementsMatch(t, constants(t, "class.go", "Class"), rows)
	assert.Equal(t, "FAIL", Class("anything else").Short())
	assert.False(t, Class("anything else").OfCell())
}

// constants returns the values of a file's constants of a type.
func constants(t *testing.T, file, kind string) (values []Class) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == kind {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			values = append(values, Class(value))
		}
		return true
	})
	return values
}

func TestClassProperties(t *testing.T) {
	type properties struct{ ofCell, retried, outOfMemory, prunes bool }
	want := map[Class]properties{
		OutOfGPUMemory:     {true, true, true, true},
		ResourceAllocation: {true, true, false, false},
		OutOfSystemMemory:  {true, true, true, false},
		Timeout:            {true, false, false, false},
		NoFigures:          {true, false, false, false},
		RunnerCrashed:      {true, true, false, false},
		PromptTruncated:    {true, false, false, false},
		ContextClamped:     {true, false, false, false},
		ModelError:         {true, false, false, false},
		ServerBusy:         {},
		ServerAway:         {},
	}
	for class, want := range want {
		assert.Equal(t, want, properties{class.OfCell(), class.Retried(), class.OutOfMemory(), class.Prunes()}, class)
	}
	assert.EqualError(t, &Failure{Class: Timeout}, "Timeout or no output")
	assert.EqualError(t, &Failure{Class: Timeout, Detail: "x"}, "Timeout or no output: x")
}

// TestLogExplains checks that the log's class is used unless the failure's message names
// the kind of memory, and that of GPU memory only for a runner that exited.
func TestLogExplains(t *testing.T) {
	gpu := &Failure{OutOfGPUMemory, "cudaMalloc failed: out of memory"}
	system := &Failure{OutOfSystemMemory, "killed by the OOM killer"}
	for _, test := range []struct {
		text   string
		logged *Failure
		want   Class
	}{
		{"llama runner process has terminated: exit status 2", gpu, OutOfGPUMemory},
		{"timed out waiting for llama-server to start - ", gpu, OutOfGPUMemory},
		{"failed to load model", gpu, OutOfGPUMemory},
		{`Post "http://127.0.0.1:11434/api/generate": EOF`, gpu, ServerAway},
		{`Post "http://127.0.0.1:11434/api/generate": EOF`, system, OutOfSystemMemory},
		{"cudaMalloc failed: out of memory", system, OutOfSystemMemory},
		{"failed to initialize the context: failed to allocate compute pp buffers", system, OutOfSystemMemory},
		{"error loading model: unable to allocate backend buffer", gpu, OutOfGPUMemory},
		{"error loading model: unable to allocate CPU buffer", gpu, OutOfSystemMemory},
		{"CUDA error: the resource allocation failed", gpu, ResourceAllocation},
		{"the input length exceeds the context length", gpu, PromptTruncated},
		{"server busy, please try again", gpu, ServerBusy},
	} {
		f := &Failure{Classify(test.text), test.text}
		if f.LogMayExplain() {
			f = f.Explained(test.logged)
		}
		assert.Equal(t, test.want, f.Class, test.text)
	}
	f := &Failure{RunnerCrashed, "exit status 2"}
	assert.Equal(t, &Failure{OutOfGPUMemory, "exit status 2 (the server's log: cudaMalloc failed: out of memory)"}, f.Explained(gpu))
	assert.Same(t, gpu, gpu.Explained(gpu))
	assert.True(t, (&Failure{NoFigures, ""}).LogMayExplain())
}

// TestEveryClassIsDocumented checks that docs/reliability.md has a line for each class of a failed cell.
func TestEveryClassIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/reliability.md")
	require.NoError(t, err)
	var want, rows []string
	for _, r := range classes {
		if r.outcome == cellFails {
			want = append(want, fmt.Sprint(r.class, " ", r.short, " ", r.retry == retryOnce))
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]*)` \\| `([A-Z]*)` \\| .* \\| (yes|no) \\|$").FindAllStringSubmatch(string(page), -1) {
		rows = append(rows, fmt.Sprint(row[1], " ", row[2], " ", row[3] == "yes"))
	}
	assert.ElementsMatch(t, want, rows)
}
