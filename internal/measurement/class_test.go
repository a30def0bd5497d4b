package measurement

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
	assert.False(t, Class("anything else").FailsCell())
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

func TestWhatFollowsFromAClass(t *testing.T) {
	type follows struct{ ofCell, retried, outOfMemory, prunes bool }
	want := map[Class]follows{
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
		assert.Equal(t, want, follows{class.FailsCell(), class.Retried(), class.OutOfMemory(), class.Prunes()}, class)
	}
	assert.EqualError(t, &Failure{Class: Timeout}, "Timeout or no output")
	assert.EqualError(t, &Failure{Class: Timeout, Detail: "x"}, "Timeout or no output: x")
}

// TestEveryClassIsDocumented checks that docs/reliability.md has a line for each class of a failed cell.
func TestEveryClassIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/reliability.md")
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
