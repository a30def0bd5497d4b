package sweep

import (
	"errors"
	"fmt"
	"strconv"
)

// ShardAuto stands for the shard that the environment names: -shard auto.
const ShardAuto = "auto"

// ShardOf reads the shard of this process from the variables that engines which
// start jobs set. The first of these counts:
//
//	SWEEP_SHARD=2/4                                  set by hand, or by a matrix of jobs
//	SLURM_ARRAY_TASK_ID, _MIN, _MAX, _STEP, _COUNT   a Slurm array, from any number on
//	JOB_COMPLETION_INDEX and SWEEP_SHARDS            an indexed Job of Kubernetes, from 0 on, and its completions
//
// An array whose numbers leave gaps of different sizes is an error: the task's place
// in it can't be told.
func ShardOf(getenv func(string) string) (Shard, error) {
	if text := getenv("SWEEP_SHARD"); text != "" {
		sh, err := ParseShard(text)
		if err != nil {
			err = fmt.Errorf("SWEEP_SHARD: %w", err)
		}
		return sh, err
	}
	if getenv("SLURM_ARRAY_TASK_ID") != "" {
		return slurmShard(getenv)
	}
	if getenv("JOB_COMPLETION_INDEX") != "" {
		return kubernetesShard(getenv)
	}
	return Shard{}, errors.New("the environment names no shard: set SWEEP_SHARD=I/N, or start the sweep as a task of a Slurm array or of an indexed Job with SWEEP_SHARDS")
}

func slurmShard(getenv func(string) string) (Shard, error) {
	v := variables{getenv: getenv}
	id, count := v.number("SLURM_ARRAY_TASK_ID"), v.number("SLURM_ARRAY_TASK_COUNT")
	least, most, step := v.number("SLURM_ARRAY_TASK_MIN"), v.number("SLURM_ARRAY_TASK_MAX"), 1
	if getenv("SLURM_ARRAY_TASK_STEP") != "" {
		step = v.number("SLURM_ARRAY_TASK_STEP")
	}
	switch {
	case v.err != nil:
		return Shard{}, v.err
	case step < 1 || id < least || id > most || (id-least)%step != 0 || (most-least)/step+1 != count:
		return Shard{}, fmt.Errorf("the Slurm array has %d tasks from %d to %d, so that the place of task %d can't be told: number them without gaps, like --array=1-%d", count, least, most, id, max(count, 1))
	}
	sh := Shard{(id-least)/step + 1, count}
	return sh, sh.check()
}

func kubernetesShard(getenv func(string) string) (Shard, error) {
	v := variables{getenv: getenv}
	index, count := v.number("JOB_COMPLETION_INDEX"), v.number("SWEEP_SHARDS")
	if v.err != nil {
		return Shard{}, v.err
	}
	sh := Shard{index + 1, count}
	if err := sh.check(); err != nil {
		return Shard{}, fmt.Errorf("JOB_COMPLETION_INDEX=%d of SWEEP_SHARDS=%d: %w", index, count, err)
	}
	return sh, nil
}

// variables reads numbers, and keeps the first error.
type variables struct {
	getenv func(string) string
	err    error
}

func (v *variables) number(name string) int {
	text := v.getenv(name)
	n, err := strconv.Atoi(text)
	if (err != nil || n < 0) && v.err == nil {
		v.err = fmt.Errorf("%s is %q, where a number was expected", name, text)
	}
	return n
}
