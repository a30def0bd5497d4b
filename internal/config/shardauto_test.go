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
		{"an array of a Slurm that sets no step", slurm("2", "1", "4", "", "4"), cell.Shard{Index: 2, Count: 4}, ""},
		{"Kubernetes", env{"JOB_COMPLETION_INDEX": "0", "SWEEP_SHARDS": "8"}, cell.Shard{Index: 1, Count: 8}, ""},
		{"some tasks of a Slurm array restarted", env{"SLURM_ARRAY_TASK_ID": "7", "SWEEP_SHARDS": "8"}, cell.Shard{Index: 7, Count: 8}, ""},
		{"nothing", env{}, cell.Shard{}, "no shard in the environment: set SWEEP_SHARD=I/N"},
		{"no shard", env{"SWEEP_SHARD": "2of4"}, cell.Shard{}, `SWEEP_SHARD: "2of4" is not of the form I/N`},
		{"index out of range", env{"SWEEP_SHARD": "5/4"}, cell.Shard{}, "SWEEP_SHARD: 5/4: the first number must be between 1 and the second"},
		{"gaps", slurm("3", "1", "7", "1", "3"), cell.Shard{}, "the Slurm array has 3 tasks from 1 to 7, so the shard of task 3 is ambiguous: if it is a part of a larger array, set SWEEP_SHARDS to the size of that; otherwise number the tasks without gaps, like --array=1-3"},
		{"a part of an array", slurm("3", "3", "5", "1", "3"), cell.Shard{}, "the Slurm array begins with task 3: if it is a part of a larger array, set SWEEP_SHARDS to the size of that; otherwise number the tasks from 1, like --array=1-3"},
		{"no task of the array", env{"SLURM_ARRAY_TASK_ID": "0", "SWEEP_SHARDS": "8"}, cell.Shard{}, "SLURM_ARRAY_TASK_ID=0 is out of range for SWEEP_SHARDS=8: expected 1 to 8"},
		{"not on a step", slurm("4", "1", "7", "2", "4"), cell.Shard{}, "is ambiguous"},
		{"a step of zero", slurm("1", "1", "4", "0", "4"), cell.Shard{}, "is ambiguous"},
		{"no count", slurm("1", "1", "4", "1", ""), cell.Shard{}, `SLURM_ARRAY_TASK_COUNT is "": expected a number`},
		{"no number", slurm("one", "1", "4", "1", "4"), cell.Shard{}, `SLURM_ARRAY_TASK_ID is "one"`},
		{"Kubernetes without a count", env{"JOB_COMPLETION_INDEX": "0"}, cell.Shard{}, `SWEEP_SHARDS is "": expected a number`},
		{"Kubernetes with too small a count", env{"JOB_COMPLETION_INDEX": "4", "SWEEP_SHARDS": "4"}, cell.Shard{}, "JOB_COMPLETION_INDEX=4 is out of range for SWEEP_SHARDS=4: expected 0 to 3"},
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

// FuzzShardOf: any environment gives an error or a valid shard, and no panic.
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
