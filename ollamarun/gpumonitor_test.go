package ollamarun

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
)

// How long, and how often, a test polls for a condition.
const (
	pollLimit = 10 * time.Second
	pollEvery = 5 * time.Millisecond
)

// fakeSMI puts the shell script on PATH as nvidia-smi.
func fakeSMI(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	script.Write(t, filepath.Join(dir, "nvidia-smi"), text)
	sleepPath, err := exec.LookPath("sleep")
	require.NoError(t, err)
	t.Setenv("PATH", dir+string(os.PathListSeparator)+filepath.Dir(sleepPath))
}

// twoGPUs prints readings in the format of nvidia-smi's documentation. The second
// GPU is hot.
const twoGPUs = `while :; do
echo "0, 61, 1980, 290.10, 1000, 95, 0x0000000000000000"
echo "1, 91, 1200, 349.90, 2000, 99, 0x0000000000000060"
sleep 0.05
done
`

func startMonitor(t *testing.T) *GPUMonitor {
	t.Helper()
	m := StartGPUMonitor(t.Context())
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	return m
}

func TestGPUMonitor(t *testing.T) {
	fakeSMI(t, twoGPUs)
	m := startMonitor(t)
	require.NotNil(t, m)
	want := []measurement.GPU{
		{Index: 0, TemperatureC: 61, SMClockMHz: 1980, PowerW: 290.1, MemoryMiB: 1000, Utilization: 95},
		{Index: 1, TemperatureC: 91, SMClockMHz: 1200, PowerW: 349.9, MemoryMiB: 2000, Utilization: 99, Throttle: []string{"HW thermal slowdown", "SW thermal slowdown"}},
	}
	require.Eventually(t, func() bool { return len(m.Now()) == 2 }, pollLimit, pollEvery)
	now := time.Now()
	merged := m.Between(now.Add(-time.Minute), now)
	assert.ElementsMatch(t, want[1].Throttle, merged[1].Throttle)
	merged[1].Throttle = want[1].Throttle
	assert.Equal(t, want, merged)
	assert.Len(t, m.Between(now, now.Add(time.Microsecond)), 2, "a short measurement gets the last reading before it")
	used, ok := m.MemoryUsed()
	assert.True(t, ok)
	assert.Equal(t, 3000, used)
	assert.Empty(t, m.Between(now.Add(-time.Hour), now.Add(-time.Minute)), "nothing was read then")

	require.NoError(t, m.Close())
	require.NoError(t, m.Close())
	<-m.ended
}

func TestGPUMonitorOfAnotherDriver(t *testing.T) {
	for _, field := range []string{"clocks_event_reasons.active", "utilization.gpu,index"} {
		last := "0x0000000000000004"
		if strings.HasSuffix(field, "index") {
			last = "0"
		}
		fakeSMI(t, fmt.Sprintf(`case "$1" in *%s)
while :; do echo "0, 61, 1980, 290.10, 1000, 95, %s"; sleep 0.05; done;;
esac
echo 'Field "clocks_throttle_reasons.active" is not a valid field to query.'
exit 2
`, field, last))
		m := startMonitor(t)
		require.NotNil(t, m, field)
		gpus := m.Now()
		require.Len(t, gpus, 1)
		assert.Equal(t, 1980, gpus[0].SMClockMHz)
		assert.Equal(t, last != "0", len(gpus[0].Throttle) == 1)
	}
}

func TestGPUMonitorWithoutGPU(t *testing.T) {
	fakeSMI(t, "echo \"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\"\nexit 9\n")
	m := startMonitor(t)
	assert.Nil(t, m)
	assert.Empty(t, m.Now())
	assert.Empty(t, m.Between(time.Now(), time.Now()))
	_, ok := m.MemoryUsed()
	assert.False(t, ok)
	assert.NoError(t, m.Close())

	t.Setenv("PATH", t.TempDir())
	assert.Nil(t, startMonitor(t))
}

// TestGPUMonitorWhoseCommandEnds checks that the command is restarted after it exits,
// until it prints no reading any more.
func TestGPUMonitorWhoseCommandEnds(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	fakeSMI(t, `[ -e "`+gone+`" ] || echo "0, 61, 1980, 290.10, 1000, 95, 0x0000000000000000"
`)
	m := startMonitor(t)
	require.NotNil(t, m)
	begin := time.Now()
	require.Eventually(t, func() bool { return len(m.since(begin)) >= 2 }, pollLimit, pollEvery)
	require.NoError(t, os.WriteFile(gone, nil, 0o644))
	<-m.ended
	later := time.Now().Add(2 * maxReadingAge)
	assert.Empty(t, m.Between(later, later), "an old reading does not count as current")
}

// TestGPUsOfAJob checks that only the GPUs in CUDA_VISIBLE_DEVICES are queried.
func TestGPUsOfAJob(t *testing.T) {
	fakeSMI(t, `echo "$*, 550.54.14"`)
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
	names, _ := GPUs(t.Context())
	assert.Equal(t, []string{"--query-gpu=name,driver_version --format=csv,noheader"}, names)
	t.Setenv("CUDA_VISIBLE_DEVICES", "1,3")
	names, driver := GPUs(t.Context())
	assert.Equal(t, []string{"--query-gpu=name,driver_version --format=csv,noheader --id=1,3"}, names)
	assert.Equal(t, "550.54.14", driver)
}
