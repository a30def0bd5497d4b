package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runElsewhere names the file that runs a command of a block that is not sh: such commands need a
// cluster, a server or an hour, or don't end.
var runElsewhere = []struct{ part, by string }{
	{"-config my.yaml", ".ci/run"}, // the README has it as an sh block
	{"scripts/report -in results/my -watch", "scripts/report/main_test.go"},
	{"ollama create llama3.1-fast", "internal/test/endtoend/advice_test.go"},
	{"curl http://127.0.0.1:11434/api/generate", "internal/test/endtoend/advice_test.go"},
	{"-run Survives", "internal/test/survives/survives_test.go"},
	{"SWEEP_OLLAMA=", "scripts/ci/versions_test.go"},
	{"sbatch", ".ci/slurm"},
	{"scripts/ci/sweep", "scripts/ci/ci_test.go"},
	{"kubectl", "scripts/kubernetes/kubernetes_test.go"},
	{"scripts/notices", ".ci/run"},
	{"scripts/gpu/rehearse", "scripts/gpu/drive/drive_test.go"},
}

// commandLine matches a line that begins with a program, maybe after variables or an assignment.
var commandLine = regexp.MustCompile(`^([A-Za-z_]+=\S+ )*(job=\$\(|go |git |nohup |ollama |curl |sbatch |kubectl |scripts/)`)

// runnable matches a command that .ci/run can run, which has only these programs.
var runnable = regexp.MustCompile(`^(go|git|nohup go) `)

// TestCommandsAreRun: each command of a page is in an sh block, which .ci/run runs, or is listed in
// runElsewhere.
func TestCommandsAreRun(t *testing.T) {
	for _, p := range pages(t) {
		_, blocks := p.parts()
		for _, b := range blocks {
			for _, line := range b.lines {
				if b.language == "sh" && line != "" {
					assert.Regexp(t, runnable, line, p.file)
				}
				if b.language == "" && commandLine.MatchString(line) {
					assertRun(t, p, line)
				}
			}
		}
	}
}

func assertRun(t *testing.T, p page, line string) {
	t.Helper()
	for _, e := range runElsewhere {
		if strings.Contains(line, e.part) {
			assert.FileExists(t, filepath.Join(root, e.by))
			return
		}
	}
	assert.Fail(t, "no test runs this command", "%s: %s", p.file, line)
}

// commands returns a page's lines of code, those in blocks and those in the text.
func (p page) commands() (lines []string) {
	prose, blocks := p.parts()
	for _, code := range inlineCode.FindAllString(prose, -1) {
		lines = append(lines, strings.Join(strings.Fields(strings.Trim(code, "`")), " "))
	}
	for _, b := range blocks {
		lines = append(lines, b.lines...)
	}
	return lines
}

var (
	program = regexp.MustCompile(`\bgo (?:run|build) (\./scripts/[\w/]+)`)
	tests   = regexp.MustCompile(`\bgo test .*?-(run|bench) '?([\w|]+)'?(?:\s.*)? (\./internal/[\w/]+)`)
	test    = regexp.MustCompile(`(?m)^func (Test|Benchmark)(\w+)\(`)
)

// TestCommandsExist: the programs, tests and benchmarks that commands name exist.
func TestCommandsExist(t *testing.T) {
	found := make(map[string]int)
	for _, p := range pages(t) {
		for _, line := range p.commands() {
			if m := program.FindStringSubmatch(line); m != nil {
				found["program"]++
				assert.FileExists(t, filepath.Join(root, m[1], "main.go"), "%s: %s", p.file, line)
			}
			if m := tests.FindStringSubmatch(strings.Replace(line, "-run '^$' ", "", 1)); m != nil {
				found[m[1]]++
				kind := map[string]string{"run": "Test", "bench": "Benchmark"}[m[1]]
				assert.Regexp(t, m[2], strings.Join(names(t, kind, m[3]), " "), "%s: %s", p.file, line)
			}
		}
	}
	for _, kind := range []string{"program", "run", "bench"} {
		assert.NotZero(t, found[kind], kind)
	}
}

// names returns the names of a package's tests or benchmarks, without the prefix kind.
func names(t *testing.T, kind, folder string) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range test.FindAllStringSubmatch(string(text), -1) {
			if m[1] == kind {
				all = append(all, m[2])
			}
		}
	}
	return all
}
