package parse

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDevicesCaptured(t *testing.T) {
	devices, err := Devices(strings.NewReader(string(captured(t, "start.log"))))
	require.NoError(t, err)
	assert.Equal(t, []string{"cpu"}, devices)
}

// TestDevicesForms has lines of other versions and vendors, from reports of users and from
// Ollama's own tests.
func TestDevicesForms(t *testing.T) {
	const (
		start = `time=2025-07-01T19:36:13.000Z level=INFO source=routes.go:1288 msg="Listening on [::]:11434 (version 0.9.6)"` + "\n"
		cuda  = `time=2025-02-21T13:31:11.961+08:00 level=INFO source=types.go:130 msg="inference compute" id=GPU-433dad3d-903e-13f1-25aa-8888bfae0c86 library=cuda variant=v12 compute=8.9 driver=12.3 name="NVIDIA GeForce RTX 4080" total="15.7 GiB" available="15.4 GiB"` + "\n"
		rocm  = `time=2025-07-01T19:36:13.315Z level=INFO source=types.go:130 msg="inference compute" id=GPU-9abb57639fa80c50 library=rocm variant="" compute=gfx1030 driver=6.3 name=1002:73bf total="16.0 GiB" available="1.3 GiB"` + "\n"
		metal = `time=2025-06-30T09:23:07.416-07:00 level=INFO source=types.go:130 msg="inference compute" id=0 library=metal variant="" compute="" driver=0.0 name="" total="96.0 GiB" available="96.0 GiB"` + "\n"
		newer = `time=2026-02-26T04:45:48.892-05:00 level=INFO source=types.go:42 msg="inference compute" id=GPU-1 filter_id="" library=CUDA compute=12.0 name=CUDA0 description="NVIDIA GeForce RTX 5070 Ti" libdirs=ollama,cuda_v13 driver=13.2 pci_id=0000:01:00.0 type=discrete total="15.9 GiB" available="14.7 GiB"` + "\n"
		cpu   = `time=2025-10-15T21:49:48.762Z level=INFO source=types.go:129 msg="inference compute" id=cpu library=cpu compute="" name=cpu description=cpu libdirs=ollama driver="" pci_id="" type="" total="31.3 GiB" available="22.2 GiB"` + "\n"
	)
	for _, test := range []struct {
		name, log string
		want      []string
	}{
		{"CUDA", start + cuda, []string{"NVIDIA GeForce RTX 4080 (driver 12.3)"}},
		{"two, in a fixed order", start + newer + cuda, []string{"NVIDIA GeForce RTX 4080 (driver 12.3)", "NVIDIA GeForce RTX 5070 Ti (driver 13.2)"}},
		{"two of the same", start + cuda + cuda, []string{"NVIDIA GeForce RTX 4080 (driver 12.3)", "NVIDIA GeForce RTX 4080 (driver 12.3)"}},
		{"ROCm", start + rocm, []string{"1002:73bf (gfx1030, driver 6.3)"}},
		{"Metal", start + metal, []string{"metal"}},
		{"CPU", start + cpu, []string{"cpu"}},
		{"the newest start counts", start + cuda + start + cpu, []string{"cpu"}},
		{"a start without devices yet", start + cuda + start, nil},
		{"without the line of the start", cuda, []string{"NVIDIA GeForce RTX 4080 (driver 12.3)"}},
		{"through journald, coloured, CRLF, no end of line", "Jan 21 16:45:51 host ollama[123]: \x1b[32m" + strings.TrimSpace(cuda) + "\x1b[0m\r", []string{"NVIDIA GeForce RTX 4080 (driver 12.3)"}},
		{"quotes in a name", strings.Replace(cuda, "GeForce", `\"GeForce\"`, 1), []string{`NVIDIA "GeForce" RTX 4080 (driver 12.3)`}},
		{"no known attribute", `msg="inference compute" total="1 GiB"`, []string{"unknown"}},
		{"very long lines around it", strings.Repeat("x", 3*maxLine) + "\n" + cuda + strings.Repeat(cuda[:100], 3*maxLine/100), []string{"NVIDIA GeForce RTX 4080 (driver 12.3)"}},
		{"no such line", `msg="inference computer" library=cuda`, nil},
		{"empty", "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			devices, err := Devices(strings.NewReader(test.log))
			require.NoError(t, err)
			assert.Equal(t, test.want, devices)
		})
	}
	broken := errors.New("broken")
	_, err := Devices(io.MultiReader(strings.NewReader(cuda), iotest.ErrReader(broken)))
	assert.ErrorIs(t, err, broken)
}

func FuzzDevices(f *testing.F) {
	f.Add(string(captured(f, "start.log")))
	f.Add(`msg="inference compute" id=GPU-1 library=rocm compute=gfx1030 driver=6.3 name=1002:73bf` + "\n" + `msg="Listening on x"`)
	f.Add(`msg="inference compute" name="\"` + "\x1b[0m")
	f.Fuzz(func(t *testing.T, log string) {
		devices, err := Devices(strings.NewReader(log))
		require.NoError(t, err)
		for _, d := range devices {
			assert.NotEmpty(t, d)
		}
	})
}

func TestTellsStart(t *testing.T) {
	const listens = `msg="Listening on [::]:11434 (version 0.9.6)"` + "\n"
	for _, test := range []struct {
		name, log string
		found     bool
		whole     int
	}{
		{"empty", "", false, 0},
		{"a start", "msg=a\n" + listens, true, 6 + len(listens)},
		{"settings", `msg="server config" env="map[]"` + "\n", true, 32},
		{"none", "msg=a\nmsg=b\n", false, 12},
		{"an incomplete line", "msg=a\n" + strings.TrimSpace(listens), false, 6},
		{"a long line", strings.Repeat("x", 3*maxLine) + "\n" + listens, true, 3*maxLine + 1 + len(listens)},
		{"Docker's", `{"log":"msg=\"server config\"\n","stream":"stderr"}` + "\n", true, 52},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, whole, err := HasStart(strings.NewReader(test.log))
			require.NoError(t, err)
			assert.Equal(t, test.found, found)
			assert.EqualValues(t, test.whole, whole)
		})
	}
	broken := errors.New("broken")
	_, _, err := HasStart(iotest.ErrReader(broken))
	assert.ErrorIs(t, err, broken)
}
