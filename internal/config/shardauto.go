package config

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// shardAuto is the value of -shard for the shard that is set in the environment.
const shardAuto = "auto"

// ShardOf reads the shard of this process from the environment variables that schedulers
// set. The first of these that is set counts:
//
//	SWEEP_SHARD=2/4                                  set by hand, or by a job matrix
//	SLURM_ARRAY_TASK_ID and SWEEP_SHARDS             some tasks of a Slurm array, for example restarted ones, counted from 1, and the number of all its tasks
//	SLURM_ARRAY_TASK_ID, _MIN, _MAX, _STEP, _COUNT   a whole Slurm array, counted from 0 or 1
//	JOB_COMPLETION_INDEX and SWEEP_SHARDS            a Kubernetes Indexed Job, counted from 0, and its completions
//
// Without SWEEP_SHARDS an array with irregular gaps, or one that begins above 1, is an
// error: it may be a part of a larger array, and would split the grid differently.
func ShardOf(getenv func(string) string) (cell.Shard, error) {
	if text := getenv("SWEEP_SHARD"); text != "" {
		sh, err := cell.ParseShard(text)
		if err != nil {
			err = fmt.Errorf("SWEEP_SHARD: %w", err)
		}
		return sh, err
	}
	if getenv("SLURM_ARRAY_TASK_ID") != "" {
		if getenv("SWEEP_SHARDS") != "" {
			return countedShard(getenv, "SLURM_ARRAY_TASK_ID", 1)
		}
		return slurmShard(getenv)
	}
	if getenv("JOB_COMPLETION_INDEX") != "" {
		return countedShard(getenv, "JOB_COMPLETION_INDEX", 0)
	}
	return cell.Shard{}, errors.New("no shard in the environment: set SWEEP_SHARD=I/N, or start the sweep as a task of a Slurm array or of an indexed Job with SWEEP_SHARDS")
}

func slurmShard(getenv func(string) string) (cell.Shard, error) {
	v := variables{getenv: getenv}
	id, count := v.number("SLURM_ARRAY_TASK_ID"), v.number("SLURM_ARRAY_TASK_COUNT")
	least, most, step := v.number("SLURM_ARRAY_TASK_MIN"), v.number("SLURM_ARRAY_TASK_MAX"), 1
	if getenv("SLURM_ARRAY_TASK_STEP") != "" {
		step = v.number("SLURM_ARRAY_TASK_STEP")
	}
	switch {
	case v.err != nil:
		return cell.Shard{}, v.err
	case least > 1:
		return cell.Shard{}, fmt.Errorf("the Slurm array begins with task %d: if it is a part of a larger array, set SWEEP_SHARDS to the size of that; otherwise number the tasks from 1, like --array=1-%d", least, max(count, 1))
	case step < 1 || id < least || id > most || (id-least)%step != 0 || (most-least)/step+1 != count:
		return cell.Shard{}, fmt.Errorf("the Slurm array has %d tasks from %d to %d, so the shard of task %d is ambiguous: if it is a part of a larger array, set SWEEP_SHARDS to the size of that; otherwise number the tasks without gaps, like --array=1-%d", count, least, most, id, max(count, 1))
	}
	sh := cell.Shard{Index: (id-least)/step + 1, Count: count}
	return sh, sh.Check()
}

// countedShard reads the variable with the number of the shard, counted from first, and
// SWEEP_SHARDS.
func countedShard(getenv func(string) string, name string, first int) (cell.Shard, error) {
	v := variables{getenv: getenv}
	number, count := v.number(name), v.number("SWEEP_SHARDS")
	if v.err != nil {
		return cell.Shard{}, v.err
	}
	if number < first || number-first >= count {
		return cell.Shard{}, fmt.Errorf("%s=%d is out of range for SWEEP_SHARDS=%d: expected %d to %d", name, number, count, first, first+count-1)
	}
	return cell.Shard{Index: number - first + 1, Count: count}, nil
}

// variables reads numbers from the environment, and keeps the first error.
type variables struct {
	getenv func(string) string
	err    error
}

func (v *variables) number(name string) int {
	text := v.getenv(name)
	n, err := strconv.Atoi(text)
	if (err != nil || n < 0) && v.err == nil {
		v.err = fmt.Errorf("%s is %q: expected a number", name, text)
	}
	return n
}
