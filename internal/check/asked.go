package check

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

const nameOfSettings = "effective settings"

// effectiveSettings compares the requested load options and settings of the server with the effective
// ones, as far as they are known. Servers ignore many that they can't use: 0.10.1 computes with an f16 KV
// cache where flash attention is off, whatever was requested.
func effectiveSettings(e *Evidence) []Finding {
	var requested, effective, reasons []string
	source := "the server's log"
	for name, value := range e.Asked.All() {
		got, ok := effectiveValue(name, value, &e.Loaded)
		if !ok && name == "num_gpu" && value != "0" && e.Loaded.Size > 0 && e.Loaded.SizeVRAM == 0 {
			got, ok, source = "0", true, "/api/ps"
		}
		if !ok || got == value {
			continue
		}
		requested, effective = append(requested, name+"="+value), append(effective, name+"="+got)
		if why := ignoredBecause(name, got, e.Loaded.Effective); why != "" {
			reasons = append(reasons, why)
		}
	}
	if len(requested) == 0 {
		return nil
	}
	because := ""
	if len(reasons) > 0 {
		because = ", since " + strings.Join(reasons, ", and ")
	}
	return warn("requested %s, effective is %s (%s)%s: this cell is a copy of the one with that; leave it out", strings.Join(requested, ", "), strings.Join(effective, ", "), source, because)
}

// ignoredBecause returns why a setting has another effective value than the requested one, empty where it
// is not known.
func ignoredBecause(name, got string, f measurement.Effective) string {
	switch {
	case name == "kv_cache_type" && f.FlashAttention == "off":
		return "a quantized KV cache needs flash attention"
	case name == "num_gpu" && got == "0":
		return "the server has put the model on no GPU"
	case name == "draft_num_predict" && got == "0":
		return "the model has no draft model, or this version does not know the option"
	}
	return ""
}

// Verified reports whether the server's log shows the effective num_batch and every other setting that was
// requested.
func Verified(e *Evidence) bool {
	if e.Loaded.Effective.NumBatch == 0 {
		return false
	}
	for name, value := range e.Asked.All() {
		if _, ok := effectiveValue(name, value, &e.Loaded); !ok && name != cell.Ollama { // the binary is what was started
			return false
		}
	}
	return true
}

// effectiveValue returns the effective value of a setting by the server's log, written like the requested
// one where they are the same, and false where it is unknown.
func effectiveValue(name, requested string, l *measurement.Loaded) (string, bool) {
	if cell.IsVariable(name) {
		logged, ok := l.Environment[name]
		if !ok {
			return "", false
		}
		return effectiveVariable(requested, logged)
	}
	got, ok := l.Effective.Value(name)
	if name == "num_gpu" && ok && allLayers(got, requested, l.Memory) {
		return requested, true
	}
	return got, ok
}

// allLayers reports whether all layers of the model are on GPUs, as with any larger num_gpu.
func allLayers(got, requested string, m *measurement.Memory) bool {
	asked, err := strconv.Atoi(requested)
	return err == nil && m != nil && m.Layers > 0 && asked >= m.Layers && got == fmt.Sprint(m.Layers)
}

// effectiveVariable compares the value of a variable of the environment with that in the server's log. The
// log has true for 1, and writes some values, such as durations, in other ways.
func effectiveVariable(requested, logged string) (string, bool) {
	if requested == logged {
		return requested, true
	}
	if logged == "true" || logged == "false" {
		if is, err := strconv.ParseBool(requested); err == nil && strconv.FormatBool(is) == logged {
			return requested, true
		}
		return logged, true
	}
	_, errRequested := strconv.ParseInt(requested, 10, 64)
	_, errLogged := strconv.ParseInt(logged, 10, 64)
	if errRequested == nil && errLogged == nil {
		return logged, true
	}
	return "", false
}
