package ci

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// workflow is the part of a workflow's file that the test checks.
type workflow struct {
	On          map[string]any
	Permissions map[string]string
	Jobs        map[string]job
}

type job struct {
	Permissions map[string]string
	RunsOn      any    `yaml:"runs-on"`
	Timeout     int    `yaml:"timeout-minutes"`
	Container   any    `yaml:"container"`
	Steps       []step `yaml:"steps"`
}

type step struct {
	Uses, Run string
	With      map[string]any
}

// emptied is the command that removes all files of other jobs from the workspace of a self-hosted
// runner, among them git hooks, which a checkout would run.
const emptied = "find . -mindepth 1 -delete"

// TestWorkflowsAreSafe: actions are pinned by commit; workflows may not write to the
// repository; steps only run scripts of this folder, with their input in variables; and a
// self-hosted runner starts with a clean checkout, and runs no code of pull requests.
func TestWorkflowsAreSafe(t *testing.T) {
	files, err := filepath.Glob("../../.github/workflows/*.yml")
	require.NoError(t, err)
	require.Len(t, files, 3)
	var used []string
	for _, file := range files {
		var w workflow
		require.NoError(t, yaml.Unmarshal([]byte(read(t, file)), &w))
		assert.Equal(t, map[string]string{"contents": "read"}, w.Permissions)
		assert.NotContains(t, w.On, "pull_request_target")
		for name, job := range w.Jobs {
			assert.Nil(t, job.Permissions, name)
			assert.NotZero(t, job.Timeout, name)
			steps := job.Steps
			if !strings.HasPrefix(fmt.Sprint(job.RunsOn), "ubuntu-") {
				assert.Equal(t, emptied, steps[0].Run, name)
				assert.Contains(t, steps[1].Uses, "actions/checkout@", name)
				for event := range w.On {
					assert.Contains(t, []string{"schedule", "workflow_dispatch"}, event, "a fork's pull request would run on it")
				}
				steps = steps[1:]
			}
			for _, s := range steps {
				if s.Run == "" {
					assert.Regexp(t, `^actions/[a-z/-]+@[0-9a-f]{40}$`, s.Uses)
					if strings.HasPrefix(s.Uses, "actions/checkout@") {
						assert.Equal(t, map[string]any{"persist-credentials": false}, s.With, name)
					}
					continue
				}
				script := regexp.MustCompile(`^(exec )?scripts/ci/([a-z]+)$`).FindStringSubmatch(s.Run)
				require.NotNil(t, script, s.Run)
				used = append(used, script[2])
			}
		}
	}
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, e := range entries {
		if filepath.Ext(e.Name()) == "" {
			assert.True(t, slices.Contains(used, e.Name()), "no workflow uses %s", e.Name())
		}
	}
}
