package checkpoint

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/modelname"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// Header is the identity of a sweep: what is measured, and on which server and machine. Two sweeps
// whose headers differ in a field that Differs compares can't share a checkpoint.
type Header struct {
	Model           string `json:"model"`
	Digest          string `json:"digest,omitempty"` // of the base model's manifest, as `ollama list` shows it
	Quantization    string `json:"quantization,omitempty"`
	ModelfileSHA256 string `json:"modelfile_sha256,omitempty"` // of the template, if any
	Modelfile       string `json:"modelfile,omitempty"`        // the template, with absolute file names
	// Weights are the SHA-256 of the files that the template names, by their names relative to its
	// folder.
	Weights       map[string]string `json:"weights,omitempty"`
	PromptSHA256  string            `json:"prompt_sha256,omitempty"`
	Prompt        string            `json:"prompt,omitempty"` // description, see config.Prompt.String; older files lack it
	NumPredict    int               `json:"num_predict,omitempty"`
	Runner        string            `json:"runner,omitempty"`
	OllamaVersion string            `json:"ollama_version,omitempty"`
	GPU           []string          `json:"gpu,omitempty"` // names, where the GPUs are local
	Driver        string            `json:"driver,omitempty"`
	Devices       []string          `json:"devices,omitempty"` // that the server computes on, from its log; see parse.Devices
	// Settings are the server's environment variables that affect its rates, from its log;
	// see parse.ServerSettings.
	Settings map[string]string `json:"settings,omitempty"`
	// Attention is the attention implementation of the first load, from the log: see
	// parse.ServerLogAttention.
	Attention string `json:"attention,omitempty"`
	// Unprobeable is the reason why the model's loads can't be probed, empty where they can or were not.
	Unprobeable string `json:"unprobeable,omitempty"`
	Place
	NumCtx   []int `json:"num_ctx,omitempty"`
	NumBatch []int `json:"num_batch,omitempty"`
	// Axes are the other axes, in the order in which keys name them.
	Axes []cell.SettingAxis `json:"axes,omitempty"`
	// Fixed are the settings besides num_ctx and num_batch that have one value in the sweep, by their names.
	Fixed map[string]string `json:"fixed,omitempty"`
	Shard cell.Shard        `json:"shard,omitzero"` // the part of the grid that is to be measured
	// Command holds the config and those flags of the sweep's command that decide what is
	// measured.
	Command string    `json:"command,omitempty"`
	Started time.Time `json:"started,omitzero"`
	// Run is the SWEEP_RUN of the run that began the checkpoint: it stays the same when a scheduler
	// restarts a job. Empty where it was not set.
	Run string `json:"run,omitempty"`

	// Strategy is that of a search, empty where every cell is measured. Prune says that cells
	// which need more memory than a cell that ran out of it are skipped.
	Strategy string `json:"strategy,omitempty"`
	Prune    bool   `json:"prune,omitempty"`
	// Search is the result of the search so far; nil without a search.
	Search *Answer `json:"search,omitempty"`

	// Merged names the checkpoints that this one was merged from; empty where a sweep wrote it.
	Merged []Source `json:"merged,omitempty"`

	// Sizing is the prompt's length in tokens as measured; zero before the first load.
	Sizing Sizing `json:"prompt_sizing,omitzero"`
	// Warnings are about the machine before the first cell.
	Warnings []string `json:"warnings,omitempty"`
}

// Source is a checkpoint that was merged into another.
type Source struct {
	From  string     `json:"from"` // folder
	Shard cell.Shard `json:"shard,omitzero"`
	Cells int        `json:"cells"` // number of cells with results
}

// Identity returns the fields that must be equal for two measurements to belong to one
// sweep, the most informative first.
func (h Header) Identity() []Trait { return append(h.settings(), h.measured()...) }

// measured returns the traits other than the server's settings.
func (h Header) measured() []Trait {
	predict := ""
	if h.NumPredict > 0 {
		predict = strconv.Itoa(h.NumPredict)
	}
	return []Trait{
		{Key: "model", Name: "model", Value: h.Model, Canonical: modelname.Full(h.Model)},
		{Key: "digest", Name: "model digest", Value: h.Digest},
		{Key: "gpu", Name: "GPU", Value: strings.Join(h.GPU, ", ")},
		{Key: "ollama_version", Name: "Ollama version", Value: h.OllamaVersion},
		{Key: "driver", Name: "driver", Value: h.Driver},
		{Key: "devices", Name: "server's device", Value: strings.Join(h.Devices, ", "), Optional: true},
		{Key: "modelfile_sha256", Name: "modelfile", Value: h.ModelfileSHA256, Text: h.Modelfile},
		h.weights(),
		{Key: "prompt_sha256", Name: "prompt", Value: h.PromptSHA256, Text: h.Prompt},
		{Key: "num_predict", Name: "num_predict", Value: predict},
		{Key: "runner", Name: "runner", Value: h.Runner},
		{Key: "axes", Name: "axes", Value: strings.Join(cell.NamesOf(h.Axes), ", ")},
		{Key: "fixed", Name: "fixed settings", Value: h.FixedText()},
	}
}

// FixedText returns the settings that have one value in the sweep, such as num_gpu=40, flash_attention=on;
// empty where there are none.
func (h Header) FixedText() string {
	var values []cell.Value
	for name, value := range h.Fixed {
		values = append(values, cell.Value{Name: name, Value: value})
	}
	return cell.NewSettings(values...).Text()
}

// weights returns the trait of the files' hashes, in which their names don't count.
func (h Header) weights() Trait {
	sums := slices.Sorted(maps.Values(h.Weights))
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h.Weights)) {
		fmt.Fprintf(&text, "%s (sha256 %.12s)\n", name, h.Weights[name])
	}
	return Trait{Key: "weights", Name: "weights", Value: strings.Join(sums, " "), Text: text.String(), Optional: true}
}

// WeightsText returns the hashes of the files of weights, shortened where there are several.
func (h Header) WeightsText() string {
	sums := slices.Sorted(maps.Values(h.Weights))
	if len(sums) > 1 {
		for i, sum := range sums {
			sums[i] = fmt.Sprintf("%.12s", sum)
		}
	}
	return strings.Join(sums, " ")
}

// settings returns a trait for each of the server's settings.
func (h Header) settings() []Trait {
	var traits []Trait
	for _, name := range parse.SettingNames {
		traits = append(traits, Trait{Key: "settings." + name, Name: name, Value: h.setting(name), Optional: true})
	}
	var llama []string
	for name, value := range h.Settings {
		if strings.HasPrefix(name, parse.LlamaArg) && value != "" {
			llama = append(llama, name+"="+value)
		}
	}
	slices.Sort(llama)
	all := strings.Join(llama, " ")
	if h.Settings != nil {
		all = cmp.Or(all, unset)
	}
	return append(traits, Trait{Key: "settings." + parse.LlamaArg + "*", Name: parse.LlamaArg + "*", Value: all, Optional: true})
}

// unset is printed for a setting that the server's log lists without a value.
const unset = "unset"

// setting returns the value of a setting, and nothing where no log shows it or it is an axis.
func (h Header) setting(name string) string {
	if h.Settings == nil || h.variesVariable(name) {
		return ""
	}
	return cmp.Or(h.Settings[name], unset)
}

// SettingsText lists the server's settings that are not the defaults, such as
// OLLAMA_KV_CACHE_TYPE=q8_0; empty where there are none, or no log shows them.
func (h Header) SettingsText() string {
	var all []string
	for name, value := range h.Settings {
		if !slices.Contains([]string{"", "0", "false"}, value) {
			all = append(all, name+"="+value)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// GPUs returns the names of the GPUs: this machine's, or else those in the server's log,
// with their driver.
func (h Header) GPUs() []string {
	if len(h.GPU) > 0 {
		return h.GPU
	}
	return slices.DeleteFunc(slices.Clone(h.Devices), func(d string) bool { return d == parse.CPU })
}

// Differs names the first field in which two headers belong to different
// sweeps, with both values, and is empty when they belong to one. The grid, the
// strategy and the start may differ: a sweep can grow, and a search can use the
// results of any sweep. So may what an older tool did not record.
func (h Header) Differs(other Header) string {
	if d := h.Difference(other); d != nil {
		return fmt.Sprintf("%s is %s there and %s here", d.Key, d.Was, d.Is)
	}
	return ""
}

// difference is a field in which two headers differ.
type difference struct{ Key, Was, Is string }

// Difference returns the first field in which two headers belong to different sweeps, nil for none.
func (h Header) Difference(other Header) *difference {
	// A server of another version has other settings too.
	there, here := append(h.measured(), h.settings()...), append(other.measured(), other.settings()...)
	// Shards start with different cells, whose loads may use different GPUs.
	there = append(there, Trait{Key: "attention", Value: h.Attention, Optional: true})
	here = append(here, Trait{Key: "attention", Value: other.Attention, Optional: true})
	if other.Strategy == "" { // a search can use another shard's results
		there = append(there, Trait{Key: "shard", Value: h.Shard.String()})
		here = append(here, Trait{Key: "shard", Value: other.Shard.String()})
	}
	if h.Shard == (cell.Shard{}) && other.Shard == (cell.Shard{}) { // a shard may resume on another machine
		there, here = append(there, h.Place.Traits()...), append(here, other.Place.AsSeenFrom(h.Place).Traits()...)
	}
	for i := range there {
		if there[i].Differs(here[i]) {
			was, is := there[i].Shown(here[i])
			key := there[i].Key
			if there[i].Text != "" || here[i].Text != "" {
				key = there[i].Name // not the key of the hash
			}
			return &difference{key, was, is}
		}
	}
	return nil
}

// fillFrom fills the empty fields of h from an earlier header of the same sweep.
func (h *Header) fillFrom(earlier Header) {
	if len(h.Devices) == 0 {
		h.Devices = earlier.Devices
	}
	if h.Settings == nil {
		h.Settings = earlier.Settings
	}
	if h.Attention == "" {
		h.Attention = earlier.Attention
	}
	if h.Weights == nil {
		h.Weights = earlier.Weights
	}
	if h.Host == "" {
		h.Host = earlier.Host
	}
	if h.Machine == "" {
		h.Machine, h.MachineID = earlier.Machine, earlier.MachineID
	}
}
