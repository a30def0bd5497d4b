package parse

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// maxMiB is far above the memory of any device; larger figures are ignored.
const maxMiB = 1e9

var (
	// buffer matches llama.cpp's line for each buffer that it has allocated. Up to Ollama
	// 0.5, the line of the weights has no word before "buffer".
	//
	//	load_tensors:   CPU_Mapped model buffer size =  1918.35 MiB
	//	llama_kv_cache:      CUDA0 KV buffer size =  1920.00 MiB
	//	llama_memory_recurrent:      CUDA0 RS buffer size =    90.40 MiB
	//	sched_reserve:  CUDA_Host compute buffer size =   268.05 MiB
	//	llama_context:        CPU  output buffer size =     0.49 MiB
	//	llm_load_tensors:      CUDA0 buffer size =  4155.99 MiB
	buffer = regexp.MustCompile(`(\w+): +(\S+) +(?:(model|KV|RS|compute|output) +)?buffer size += +([\d.]+) MiB`)

	// engineBuffer matches the lines of Ollama's own engine, of 0.6 to 0.10 and later:
	//
	//	msg="model weights" buffer=CUDA0 size="4.5 GiB"
	//	msg="kv cache" device=CUDA0 size="512.0 MiB"
	//	msg="compute graph" backend=CUDA0 buffer_type=CUDA0 size="1.1 GiB"
	engineBuffer = regexp.MustCompile(`msg="(model weights|kv cache|compute graph)" (?:backend=\S+ )?(?:device|buffer|buffer_type)=(\S+) size="([\d.]+) (B|KiB|MiB|GiB)"`)

	// breakdown matches a line of the table, in MiB, that llama-server prints when it fits a
	// load into memory. The lines below are the header, a device, and other memory:
	//
	//	common_memory_breakdown_print: | memory breakdown [MiB] | total   free     self   model   context   compute    unaccounted |
	//	common_memory_breakdown_print: |   - CUDA0 (RTX 4090)   | 24077 =  945 + (19187 = 17904 +     384 +     898) +        3945 |
	//	common_memory_breakdown_print: |   - Host               |                 58271 = 58259 +       0 +      12                |
	breakdown      = regexp.MustCompile(`memory_breakdown_print: \| +- ([^|]+?) *\|.*?\d+ = +(\d+) \+ +(\d+) \+ +(\d+)`)
	breakdownBegin = regexp.MustCompile(`memory_breakdown_print: \| memory breakdown`)

	// offloaded matches the number of layers on GPUs:
	//
	//	load_tensors: offloaded 29/29 layers to GPU
	offloaded = regexp.MustCompile(`offloaded (\d+)/(\d+) layers to GPU`)
)

// newContext is in the line with which a context begins. A draft model has its own context.
const newContext = "constructing llama_context"

// ServerLogMemory returns the memory of the newest load in a part of a server's log, and
// nil if the log does not have it.
func ServerLogMemory(text []byte) *measurement.Memory {
	var l memoryLog
	for line := range strings.Lines(Plain(unwrapLog(text))) {
		if beginsLoad(line) {
			l = memoryLog{}
			continue
		}
		l.read(line)
	}
	return l.memory()
}

// beginsLoad reports whether a new load begins with this line.
func beginsLoad(line string) bool {
	if commit.MatchString(line) {
		return true
	}
	begin := start.FindString(line)
	return begin != "" && (loadsModel(begin) || settingsOf(begin) != measurement.Effective{})
}

// kind is the figure of a DeviceMemory that a buffer belongs to.
type kind int

const (
	ofModel kind = iota
	ofContext
	ofCompute
)

// kinds maps the log's words to kinds. A buffer without a word has weights.
var kinds = map[string]kind{
	"": ofModel, "model": ofModel, "model weights": ofModel,
	"KV": ofContext, "RS": ofContext, "kv cache": ofContext,
	"compute": ofCompute, "output": ofCompute, "compute graph": ofCompute,
}

// allocation is a buffer that the log lists.
type allocation struct {
	kind   kind
	device string
	mib    float64
	// source distinguishes buffers that replace an earlier one, as when the compute
	// buffers are allocated again, from additional ones.
	source string
}

// memoryLog collects a load's memory from a log, in three forms. The first form that
// the log has is used, since each is more exact than the next.
type memoryLog struct {
	buffers, engine, table []allocation
	contexts               int
	gpuLayers, layers      int
}

func (l *memoryLog) read(line string) {
	switch {
	case strings.Contains(line, newContext):
		l.contexts++
	case strings.Contains(line, "buffer size"):
		if m := buffer.FindStringSubmatch(line); m != nil {
			l.addBuffer(allocation{kinds[m[3]], m[2], mib(m[4]), m[1] + " " + m[3]})
		}
	case strings.Contains(line, "memory_breakdown_print"):
		l.readTable(line)
	case strings.Contains(line, "size="):
		if m := engineBuffer.FindStringSubmatch(line); m != nil {
			l.engine = replaced(l.engine, allocation{kinds[m[1]], m[2], mib(m[3]) * units[m[4]], ""})
		}
	case strings.Contains(line, "layers to GPU"):
		if m := offloaded.FindStringSubmatch(line); m != nil {
			l.gpuLayers, l.layers = int(mib(m[1])), int(mib(m[2]))
		}
	}
}

// readTable reads a line of the table. Only the newest table counts.
func (l *memoryLog) readTable(line string) {
	if breakdownBegin.MatchString(line) {
		l.table = nil
	}
	if m := breakdown.FindStringSubmatch(line); m != nil {
		name, _, _ := strings.Cut(m[1], " (")
		for i, k := range []kind{ofModel, ofContext, ofCompute} {
			l.table = append(l.table, allocation{k, name, mib(m[2+i]), ""})
		}
	}
}

// units of sizes, in MiB.
var units = map[string]float64{"B": 1. / (1 << 20), "KiB": 1. / (1 << 10), "MiB": 1, "GiB": 1 << 10}

// addBuffer adds a buffer of llama.cpp. Before a load llama.cpp may log a plan, in which
// the weights have a size of 0; those buffers are dropped.
func (l *memoryLog) addBuffer(a allocation) {
	if a.kind != ofModel {
		a.source += " " + strconv.Itoa(l.contexts)
	} else if slices.ContainsFunc(l.buffers, func(b allocation) bool { return b.kind != ofModel }) && sum(l.buffers, ofModel) == 0 {
		l.buffers = nil
	}
	if a.kind == ofCompute {
		l.buffers = replaced(l.buffers, a)
	} else {
		l.buffers = append(l.buffers, a)
	}
}

// replaced adds an allocation, which replaces an earlier one of the same buffer.
func replaced(all []allocation, a allocation) []allocation {
	i := slices.IndexFunc(all, func(b allocation) bool {
		return b.kind == a.kind && b.device == a.device && b.source == a.source
	})
	if i < 0 {
		return append(all, a)
	}
	all[i].mib = a.mib
	return all
}

func sum(all []allocation, k kind) (total float64) {
	for _, a := range all {
		if a.kind == k {
			total += a.mib
		}
	}
	return total
}

// memory returns the memory that was collected, nil for none. A form without weights or
// context is not used.
func (l *memoryLog) memory() *measurement.Memory {
	m := &measurement.Memory{}
	if l.gpuLayers <= l.layers {
		m.GPULayers, m.Layers = l.gpuLayers, l.layers
	}
	for _, all := range [][]allocation{l.buffers, l.engine, l.table} {
		if sum(all, ofModel) > 0 && sum(all, ofContext) > 0 {
			m.Devices = devicesOf(all)
			break
		}
	}
	if m.Layers == 0 && len(m.Devices) == 0 {
		return nil
	}
	return m
}

// devicesOf sums up the allocations by device, in the order of the names with Host
// last.
func devicesOf(all []allocation) []measurement.DeviceMemory {
	byName := make(map[string]*[3]float64)
	for _, a := range all {
		name := deviceName(a.device)
		if byName[name] == nil {
			byName[name] = new([3]float64)
		}
		byName[name][a.kind] += a.mib
	}
	var devices []measurement.DeviceMemory
	for name, mib := range byName {
		d := measurement.DeviceMemory{Name: name, ModelMiB: round(mib[ofModel]), ContextMiB: round(mib[ofContext]), ComputeMiB: round(mib[ofCompute])}
		if d.ModelMiB+d.ContextMiB+d.ComputeMiB > 0 {
			devices = append(devices, d)
		}
	}
	slices.SortFunc(devices, func(a, b measurement.DeviceMemory) int {
		if (a.Name == measurement.Host) != (b.Name == measurement.Host) {
			if a.Name == measurement.Host {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return devices
}

// deviceName returns the device of a buffer: CUDA0 for CUDA0_Split, MTL0 for MTL0_Mapped,
// Host for CPU_Mapped, CPU_REPACK and CUDA_Host.
func deviceName(buffer string) string {
	for _, suffix := range []string{"_Mapped", "_Private", "_Split", "_REPACK", "-REPACK"} {
		buffer = strings.TrimSuffix(buffer, suffix)
	}
	if strings.HasSuffix(buffer, "_Host") || buffer == "CPU" || strings.HasPrefix(buffer, "CPU_") || buffer == "BLAS" || buffer == "AMX" {
		return measurement.Host
	}
	return buffer
}

// mib parses a figure, and returns 0 if it is invalid.
func mib(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v <= maxMiB) {
		return 0
	}
	return v
}

// round rounds to two decimals, as in the log.
func round(mib float64) float64 { return math.Round(100*mib) / 100 }
