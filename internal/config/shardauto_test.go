package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

func TestShardOf(t *testing.T) {
	type env map[string]string
	slurm := func(id, least, most, step, count string) env {
		return env{"SLURM_ARRAY_TASK_ID": id, "SLURM_ARRAY_TASK_MIN": least, "SLURM_ARRAY_TASK_MAX": most, "SLURM_ARRAY_TASK_STEP": step, "SLURM_ARRAY_TASK_COUNT": count}
	}
	for _, tt := range []struct {
		name string
		env  env
		want cell.Shard
		err  string
	}{
		{"by hand", env{"SWEEP_SHARD": "2/4", "SLURM_ARRAY_TASK_ID": "9", "JOB_COMPLETION_INDEX": "3"}, cell.Shard{Index: 2, Count: 4}, ""},
		{"an array from 1", slurm("3", "1", "4", "1", "4"), cell.Shard{Index: 3, Count: 4}, ""},
		{"an array from 0", slurm("0", "0", "9", "1", "10"), cell.Shard{Index: 1, Count: 10}, ""},
		{"an array in steps", slurm("7", "1", "10", "3", "4"), cell.Shard{Index: 3, Count: 4}, ""},
		{"an array of a Slurm that tells no step", slurm("2", "1", "4", "", "4"), cell.Shard{Index: 2, Count: 4}, ""},
		{"Kubernetes", env{"JOB_COMPLETION_INDEX": "0", "SWEEP_SHARDS": "8"}, cell.Shard{Index: 1, Count: 8}, ""},
		{"some of a Slurm array again", env{"SLURM_ARRAY_TASK_ID": "7", "SWEEP_SHARDS": "8"}, cell.Shard{Index: 7, Count: 8}, ""},
		{"nothing", env{}, cell.Shard{}, "the environment names no shard: set SWEEP_SHARD=I/N"},
		{"no shard", env{"SWEEP_SHARD": "2of4"}, cell.Shard{}, `SWEEP_SHARD: "2of4" is not of the form I/N`},
		{"beyond", env{"SWEEP_SHARD": "5/4"}, cell.Shard{}, "SWEEP_SHARD: 5/4: the first number counts from 1 to the second"},
		{"gaps", slurm("3", "1", "7", "1", "3"), cell.Shard{}, "the Slurm array has 3 tasks from 1 to 7, so that the place of task 3 can't be told: where they are a part of an array, say of how many with SWEEP_SHARDS=N; else number them without gaps, like --array=1-3"},
		{"a part of an array", slurm("3", "3", "5", "1", "3"), cell.Shard{}, "the Slurm array begins with task 3: where that is a part of an array, say of how many with SWEEP_SHARDS=N; else number the tasks like --array=1-3"},
		{"no task of the array", env{"SLURM_ARRAY_TASK_ID": "0", "SWEEP_SHARDS": "8"}, cell.Shard{}, "SLURM_ARRAY_TASK_ID=0 is none of SWEEP_SHARDS=8: they count from 1 to 8"},
		{"off the step", slurm("4", "1", "7", "2", "4"), cell.Shard{}, "can't be told"},
		{"a step of nothing", slurm("1", "1", "4", "0", "4"), cell.Shard{}, "can't be told"},
		{"no count", slurm("1", "1", "4", "1", ""), cell.Shard{}, `SLURM_ARRAY_TASK_COUNT is "", where a number was expected`},
		{"no number", slurm("one", "1", "4", "1", "4"), cell.Shard{}, `SLURM_ARRAY_TASK_ID is "one"`},
		{"Kubernetes without a count", env{"JOB_COMPLETION_INDEX": "0"}, cell.Shard{}, `SWEEP_SHARDS is "", where a number was expected`},
		{"Kubernetes with too small a count", env{"JOB_COMPLETION_INDEX": "4", "SWEEP_SHARDS": "4"}, cell.Shard{}, "JOB_COMPLETION_INDEX=4 is none of SWEEP_SHARDS=4: they count from 0 to 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ShardOf(func(name string) string { return tt.env[name] })
			if tt.err != "" {
				assert.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

// FuzzShardOf: whatever the environment holds, no panic, and a shard that there is.
func FuzzShardOf(f *testing.F) {
	f.Add("3", "1", "4", "1", "4", "", "")
	f.Add("", "", "", "", "", "0", "8")
	f.Add("-9223372036854775808", "1", "9223372036854775807", "1", "4", "", "")
	f.Fuzz(func(t *testing.T, id, least, most, step, count, index, shards string) {
		sh, err := ShardOf(func(name string) string {
			return map[string]string{
				"SLURM_ARRAY_TASK_ID": id, "SLURM_ARRAY_TASK_MIN": least, "SLURM_ARRAY_TASK_MAX": most, "SLURM_ARRAY_TASK_STEP": step,
				"SLURM_ARRAY_TASK_COUNT": count, "JOB_COMPLETION_INDEX": index, "SWEEP_SHARDS": shards,
			}[name]
		})
		if err == nil {
			assert.NoError(t, sh.Check())
			assert.NotEqual(t, cell.Shard{}, sh)
		}
	})
}
