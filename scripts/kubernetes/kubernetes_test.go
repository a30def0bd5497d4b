// Package kubernetes tests the manifests of a sweep as an indexed Job.
package kubernetes

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

// manifest is the documents of a file.
type manifest struct {
	config corev1.ConfigMap
	claim  corev1.PersistentVolumeClaim
	policy networkingv1.NetworkPolicy
	job    batchv1.Job
}

// decode reads a file of manifests. Unknown fields fail the test.
func decode(t *testing.T, file string) (m manifest) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var kind struct {
			Kind string `json:"kind"`
		}
		require.NoError(t, yaml.Unmarshal(doc, &kind))
		into := map[string]any{"ConfigMap": &m.config, "PersistentVolumeClaim": &m.claim, "NetworkPolicy": &m.policy, "Job": &m.job}[kind.Kind]
		require.NotNil(t, into, kind.Kind)
		require.NoError(t, yaml.UnmarshalStrict(doc, into), kind.Kind)
	}
	return m
}

// env returns an environment variable of a container.
func env(c corev1.Container, name string) corev1.EnvVar {
	i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name })
	if i < 0 {
		return corev1.EnvVar{}
	}
	return c.Env[i]
}

// mounted returns the volume of the pod that holds a container's path, nil for none.
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

	// Each pod measures one shard.
	assert.Equal(t, batchv1.IndexedCompletion, *m.job.Spec.CompletionMode)
	shards := int(*m.job.Spec.Completions)
	assert.Equal(t, strconv.Itoa(shards), env(main, "SWEEP_SHARDS").Value)
	for index := range shards {
		shard, err := config.ShardOf(func(name string) string {
			return map[string]string{"JOB_COMPLETION_INDEX": strconv.Itoa(index), "SWEEP_SHARDS": env(main, "SWEEP_SHARDS").Value}[name]
		})
		require.NoError(t, err)
		assert.Equal(t, cell.Shard{Index: index + 1, Count: shards}, shard)
	}
	assert.Equal(t, "spec.nodeName", env(main, "SWEEP_HOST").ValueFrom.FieldRef.FieldPath)

	// The command runs a sweep with the ConfigMap's config, and writes to the volume.
	words, ok := strings.CutPrefix(strings.Join(main.Command, " "), "go test -run Sweep -timeout 0 ")
	require.True(t, ok)
	t.Setenv("SWEEP_SHARD", "2/4")
	var overrides config.Overrides
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	file := flags.String("config", "", "")
	overrides.Register(flags)
	require.NoError(t, flags.Parse(strings.Fields(words)))
	assert.Equal(t, m.config.Name, mounted(pod, main, *file).ConfigMap.Name)
	local := filepath.Join(t.TempDir(), "my.yaml")
	require.NoError(t, os.WriteFile(local, []byte(m.config.Data[filepath.Base(*file)]), 0o644))
	log := filepath.Join(t.TempDir(), "ollama.log") // stands in for a path in the pod
	require.NoError(t, os.WriteFile(log, nil, 0o644))
	require.NoError(t, flags.Set("server-log", log))
	config, err := config.Read(local, &overrides)
	require.NoError(t, err)
	assert.Equal(t, "/results/my-2of4", config.Out)
	assert.Equal(t, m.claim.Name, mounted(pod, main, config.Out).PersistentVolumeClaim.ClaimName)
	assert.Contains(t, m.claim.Spec.AccessModes, corev1.ReadWriteMany)

	// Ollama is a sidecar with the GPU, and its model is pulled before the sweep.
	i := slices.IndexFunc(pod.InitContainers, func(c corev1.Container) bool { return c.Name == "ollama" })
	require.GreaterOrEqual(t, i, 0)
	ollama, pull := pod.InitContainers[i], pod.InitContainers[i+1]
	assert.Equal(t, corev1.ContainerRestartPolicyAlways, *ollama.RestartPolicy)
	assert.Equal(t, []string{"ollama", "list"}, ollama.StartupProbe.Exec.Command, "kubelet does not reach the pod's loopback")
	assert.Equal(t, int64(1), ollama.Resources.Limits.Name("nvidia.com/gpu", "").Value())
	assert.Equal(t, []string{"ollama", "pull", config.Model}, pull.Command)
	assert.Contains(t, ollama.Command[2], words[strings.Index(words, "/log/"):], "the sweep reads the log that Ollama writes")
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

// TestPodsAreConfined: nothing runs as root or gains privileges, each container writes only to its
// volumes, a pod and its Ollama can't be reached from outside, and images are pinned.
func TestPodsAreConfined(t *testing.T) {
	policy := decode(t, "sweep.yaml").policy.Spec
	assert.Equal(t, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}, policy.PolicyTypes)
	assert.Empty(t, policy.Ingress)
	for _, file := range []string{"sweep.yaml", "merge.yaml"} {
		template := decode(t, file).job.Spec.Template
		pod := template.Spec
		assert.Subset(t, template.Labels, policy.PodSelector.MatchLabels, file)
		assert.NotEmpty(t, policy.PodSelector.MatchLabels)
		assert.False(t, *pod.AutomountServiceAccountToken, file)
		assert.False(t, pod.HostNetwork || pod.HostPID || pod.HostIPC, file)
		require.NotNil(t, pod.SecurityContext, file)
		assert.True(t, *pod.SecurityContext.RunAsNonRoot, file)
		assert.Positive(t, *pod.SecurityContext.RunAsUser, file)
		assert.Equal(t, *pod.SecurityContext.RunAsGroup, *pod.SecurityContext.FSGroup, file)
		assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type, file)
		for _, v := range pod.Volumes {
			assert.Nil(t, v.HostPath, v.Name)
		}
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			confined(t, pod, c)
		}
	}
}

// image matches an image with a digest or a full version.
var image = regexp.MustCompile(`^[a-z/]+(@sha256:[0-9a-f]{64}|:[0-9]+\.[0-9]+\.[0-9]+)$`)

func confined(t *testing.T, pod corev1.PodSpec, c corev1.Container) {
	t.Helper()
	assert.Regexp(t, image, c.Image)
	require.NotNil(t, c.SecurityContext, c.Name)
	assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation, c.Name)
	assert.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, c.Name)
	assert.Equal(t, &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, c.SecurityContext.Capabilities, c.Name)
	assert.Nil(t, c.SecurityContext.RunAsUser, "the pod's applies")
	assert.Empty(t, c.Ports, c.Name)
	home := env(c, "HOME").Value
	assert.NotNil(t, mounted(pod, c, home), "%s writes to %s", c.Name, home)
	if host := env(c, "OLLAMA_HOST").Value; host != "" {
		assert.Equal(t, "127.0.0.1:11434", host)
	}
	if c.Command[0] == "go" {
		assert.NotNil(t, mounted(pod, c, env(c, "GOPATH").Value))
		assert.NotNil(t, mounted(pod, c, "/tmp"))
		assert.NotNil(t, mounted(pod, c, c.WorkingDir))
	}
}

// TestSourceIsPinned runs the container's script: without a commit it fails at once, and so does
// the Job.
func TestSourceIsPinned(t *testing.T) {
	for _, file := range []string{"sweep.yaml", "merge.yaml"} {
		job := decode(t, file).job
		source := job.Spec.Template.Spec.InitContainers[0]
		assert.Equal(t, []string{"sh", "-euc"}, source.Command[:2])
		assert.Equal(t, corev1.EnvVar{Name: "REVISION"}, env(source, "REVISION"), "set by the user")
		script := strings.ReplaceAll(source.Command[2], "/src/", t.TempDir()+"/")
		sha := strings.Repeat("0123456789", 4)
		for revision, want := range map[string]int{"": 64, "main": 64, "HEAD": 64, sha[:39]: 64, sha + "0": 64, "x\n" + sha: 64, sha + "\nx": 64, sha: 0} {
			cmd := exec.CommandContext(t.Context(), "sh", "-euc", `git() { echo git "$@"; if [ "$1" = init ]; then command git "$@"; fi; }; `+script)
			cmd.Env = append(os.Environ(), "REVISION="+revision)
			out, _ := cmd.CombinedOutput()
			assert.Equal(t, want, cmd.ProcessState.ExitCode(), "%q: %s", revision, out)
			assert.Equal(t, want == 0, strings.Contains(string(out), "git fetch -q --depth=1 https://github.com/ollama-sweep/ollama-sweep "+sha+"\n"), "%s", out)
		}
		rule := job.Spec.PodFailurePolicy.Rules[0]
		assert.Equal(t, batchv1.PodFailurePolicyActionFailJob, rule.Action)
		assert.Equal(t, source.Name, *rule.OnExitCodes.ContainerName)
		assert.Equal(t, []int32{64}, rule.OnExitCodes.Values)
	}
}
