// Package kubernetes tests the manifests of a sweep as an indexed Job.
package kubernetes

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// manifest is what the documents of a file hold.
type manifest struct {
	config corev1.ConfigMap
	claim  corev1.PersistentVolumeClaim
	job    batchv1.Job
}

// decode reads a file of manifests, in which no field may be unknown.
func decode(t *testing.T, file string) (m manifest) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var kind struct {
			Kind string `json:"kind"`
		}
		require.NoError(t, yaml.Unmarshal(doc, &kind))
		into := map[string]any{"ConfigMap": &m.config, "PersistentVolumeClaim": &m.claim, "Job": &m.job}[kind.Kind]
		require.NotNil(t, into, kind.Kind)
		require.NoError(t, yaml.UnmarshalStrict(doc, into), kind.Kind)
	}
	return m
}

// env returns the variable of a container.
func env(c corev1.Container, name string) corev1.EnvVar {
	i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name })
	if i < 0 {
		return corev1.EnvVar{}
	}
	return c.Env[i]
}

// mounted reports whether a container's path lies in a volume of the pod.
func mounted(pod corev1.PodSpec, c corev1.Container, path string) *corev1.Volume {
	for _, m := range c.VolumeMounts {
		if path == m.MountPath || strings.HasPrefix(path, m.MountPath+"/") {
			i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
			if i >= 0 {
				return &pod.Volumes[i]
			}
		}
	}
	return nil
}

func TestSweepJob(t *testing.T) {
	m := decode(t, "sweep.yaml")
	pod := m.job.Spec.Template.Spec
	require.Len(t, pod.Containers, 1)
	main := pod.Containers[0]

	// Its pods are the shards, each of which is one.
	assert.Equal(t, batchv1.IndexedCompletion, *m.job.Spec.CompletionMode)
	shards := int(*m.job.Spec.Completions)
	assert.Equal(t, strconv.Itoa(shards), env(main, "SWEEP_SHARDS").Value)
	for index := range shards {
		shard, err := sweep.ShardOf(func(name string) string {
			return map[string]string{"JOB_COMPLETION_INDEX": strconv.Itoa(index), "SWEEP_SHARDS": env(main, "SWEEP_SHARDS").Value}[name]
		})
		require.NoError(t, err)
		assert.Equal(t, sweep.Shard{Index: index + 1, Count: shards}, shard)
	}
	assert.Equal(t, "spec.nodeName", env(main, "SWEEP_HOST").ValueFrom.FieldRef.FieldPath)

	// Its command is a sweep's, on its config, into its volume.
	words, ok := strings.CutPrefix(strings.Join(main.Command, " "), "go test -run Sweep -timeout 0 ")
	require.True(t, ok)
	t.Setenv("SWEEP_SHARD", "2/4")
	var overrides sweep.Overrides
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	file := flags.String("config", "", "")
	overrides.Register(flags)
	require.NoError(t, flags.Parse(strings.Fields(words)))
	assert.Equal(t, m.config.Name, mounted(pod, main, *file).ConfigMap.Name)
	local := filepath.Join(t.TempDir(), "my.yaml")
	require.NoError(t, os.WriteFile(local, []byte(m.config.Data[filepath.Base(*file)]), 0o644))
	log := filepath.Join(t.TempDir(), "ollama.log") // a path of the pod's
	require.NoError(t, os.WriteFile(log, nil, 0o644))
	require.NoError(t, flags.Set("server-log", log))
	config, err := sweep.ReadConfig(local, &overrides)
	require.NoError(t, err)
	assert.Equal(t, "/results/my-2of4", config.Out)
	assert.Equal(t, m.claim.Name, mounted(pod, main, config.Out).PersistentVolumeClaim.ClaimName)
	assert.Contains(t, m.claim.Spec.AccessModes, corev1.ReadWriteMany)

	// Ollama is a sidecar with the GPU, whose model was pulled before.
	i := slices.IndexFunc(pod.InitContainers, func(c corev1.Container) bool { return c.Name == "ollama" })
	require.GreaterOrEqual(t, i, 0)
	ollama, pull := pod.InitContainers[i], pod.InitContainers[i+1]
	assert.Equal(t, corev1.ContainerRestartPolicyAlways, *ollama.RestartPolicy)
	assert.Equal(t, ollama.Ports[0].Name, ollama.ReadinessProbe.HTTPGet.Port.StrVal)
	assert.Equal(t, ollama.Ports[0].Name, ollama.StartupProbe.HTTPGet.Port.StrVal)
	assert.Equal(t, int64(1), ollama.Resources.Limits.Name("nvidia.com/gpu", "").Value())
	assert.Equal(t, []string{"ollama", "pull", config.Model}, pull.Command)
	assert.Contains(t, ollama.Command[2], words[strings.Index(words, "/log/"):], "the log that is read is the one that is written")
	assert.Equal(t, mounted(pod, ollama, "/log/ollama.log"), mounted(pod, main, "/log/ollama.log"))
}

func TestMergeJob(t *testing.T) {
	of, m := decode(t, "sweep.yaml"), decode(t, "merge.yaml")
	pod := m.job.Spec.Template.Spec
	merge := pod.Containers[0]
	assert.Equal(t, []string{"go", "run", "./scripts/report", "-in", "/results/my-*of" + strconv.Itoa(int(*of.job.Spec.Completions)), "-out", "/results/my"}, merge.Command)
	assert.Equal(t, of.claim.Name, mounted(pod, merge, "/results/my").PersistentVolumeClaim.ClaimName)
	assert.Equal(t, of.job.Spec.Template.Spec.InitContainers[0], pod.InitContainers[0])
}
