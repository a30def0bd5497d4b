package cell

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"
)

func settingsOf(pairs ...string) Settings {
	var values []Value
	for i := 0; i < len(pairs); i += 2 {
		values = append(values, Value{pairs[i], pairs[i+1]})
	}
	return NewSettings(values...)
}

// TestOrderOfSettings: the server's settings change slowest, since each takes a restart, then num_ctx,
// num_batch and options; names have num_ctx and num_batch first.
func TestOrderOfSettings(t *testing.T) {
	g := Grid{Ctx: []int{4, 8}, Batch: []int{2}, Settings: []SettingAxis{{"num_gpu", []string{"auto", "30"}}, {"flash_attention", []string{"on", "off"}}}}
	plan, leftOut := g.Cells()
	assert.Empty(t, leftOut)
	var names []string
	for _, c := range plan {
		names = append(names, c.String())
	}
	assert.Equal(t, []string{
		"ctx=4/batch=2/num_gpu=auto/flash_attention=on", "ctx=4/batch=2/num_gpu=30/flash_attention=on",
		"ctx=8/batch=2/num_gpu=auto/flash_attention=on", "ctx=8/batch=2/num_gpu=30/flash_attention=on",
		"ctx=4/batch=2/num_gpu=auto/flash_attention=off", "ctx=4/batch=2/num_gpu=30/flash_attention=off",
		"ctx=8/batch=2/num_gpu=auto/flash_attention=off", "ctx=8/batch=2/num_gpu=30/flash_attention=off",
	}, names)
	assert.Equal(t, 8, g.Count())
	assert.Equal(t, plan[1].Settings, settingsOf("flash_attention", "on", "num_gpu", "30"), "in whatever order they are given")
}

func TestSettingsOfKey(t *testing.T) {
	s := settingsOf("LLAMA_ARG_B", "x y", "num_thread", "8", "kv_cache_type", "q8_0")
	assert.Equal(t, Settings("num_thread=8/kv_cache_type=q8_0/LLAMA_ARG_B=x%20y"), s)
	assert.Equal(t, "num_thread=8, kv_cache_type=q8_0, LLAMA_ARG_B=x y", s.Text())
	assert.Equal(t, settingsOf("num_thread", "8"), s.Options())
	assert.Equal(t, settingsOf("LLAMA_ARG_B", "x y", "kv_cache_type", "q8_0"), s.Server())
	v, ok := s.Value("LLAMA_ARG_B")
	assert.True(t, ok)
	assert.Equal(t, "x y", v)
	_, ok = s.Value("num_gpu")
	assert.False(t, ok)
	assert.Equal(t, "0.10.1", s.Version("0.10.1"), "the binary is no axis")
	assert.Equal(t, "0.31.1", settingsOf("ollama", "0.31.1+2", "num_gpu", "1").Version("0.10.1"))
	assert.Equal(t, settingsOf("num_thread", "16").Compare(settingsOf("num_thread", "8")), 1, "numbers by size")
	assert.Equal(t, settingsOf("num_gpu", "40").Compare(settingsOf("num_gpu", "auto")), -1)
}

func TestKeyJSON(t *testing.T) {
	for key, text := range map[Key]string{
		{Ctx: 4096, Batch: 512}: `{"num_ctx":4096,"num_batch":512}`,
		{Ctx: 4096, Batch: 512, Settings: settingsOf("num_gpu", "40", "use_mmap", "false", "flash_attention", "on", "A", `"01`)}: `{"num_ctx":4096,"num_batch":512,"num_gpu":40,"use_mmap":false,"flash_attention":"on","A":"\"01"}`,
	} {
		data, err := json.Marshal(key)
		require.NoError(t, err)
		assert.Equal(t, text, string(data))
		var back Key
		require.NoError(t, json.Unmarshal(data, &back))
		assert.Equal(t, key, back)
	}
	var c Key
	require.NoError(t, json.Unmarshal([]byte(`{"flash_attention":"on","num_batch":1,"num_gpu":2,"num_ctx":3}`), &c))
	assert.Equal(t, Key{Ctx: 3, Batch: 1, Settings: "num_gpu=2/flash_attention=on"}, c, "in any order")
	for _, bad := range []string{`{}`, `{"num_ctx":1}`, `{"num_ctx":"x","num_batch":1}`, `{"num_ctx":1,"num_batch":1,"num_gpu":[1]}`, `{"num_ctx":1,"num_batch":1,"num_gpu":null}`, `[]`} {
		assert.Error(t, json.Unmarshal([]byte(bad), &c), bad)
	}
}

func TestParseOfSettings(t *testing.T) {
	for _, test := range []struct{ name, text, want, err string }{
		{"num_gpu", "40", "40", ""},
		{"num_gpu", "auto", "auto", ""},
		{"num_gpu", "-1", "", "below the minimum 0: to leave it to the server write auto"},
		{"num_gpu", "x", "", "expected a whole number or auto"},
		{"num_gpu", "99999999999", "", "above the maximum"},
		{"num_thread", "0", "", "below the minimum 1"},
		{"use_mmap", "yes", "", "write true, false or auto"},
		{"flash_attention", "on", "on", ""},
		{"flash_attention", "1", "", "write on, off or auto"},
		{"kv_cache_type", "q5", "", "write q4_0, q8_0, f16 or auto"},
		{"ollama", "", "", "name the file"},
		{"ollama", "auto", "auto", ""}, // a file of that name
		{"LLAMA_ARG_N_CPU_MOE", "12", "12", ""},
		{"LLAMA_ARG_N_CPU_MOE", "a\nb", "", "control character"},
		{"OLLAMA_HOST", "x", "", "the sweep chooses the address"},
		{"OLLAMA_KV_CACHE_TYPE", "f16", "", "write kv_cache_type"},
	} {
		s, ok := SettingOf(test.name)
		require.True(t, ok, test.name)
		got, err := s.Parse(test.text)
		if test.err != "" {
			assert.ErrorContains(t, err, test.err, test.name)
			continue
		}
		assert.NoError(t, err)
		assert.Equal(t, test.want, got)
	}
	for _, name := range []string{"temperature", "", "a b", "9A"} {
		_, ok := SettingOf(name)
		assert.False(t, ok, name)
	}
}

// TestNeedsMemory: more memory is needed only by what is known to need more, never by the order of names.
func TestNeedsMemory(t *testing.T) {
	of := func(pairs ...string) Key { return Key{Ctx: 4096, Batch: 512, Settings: settingsOf(pairs...)} }
	for _, test := range []struct {
		more, less []string
		want       bool
	}{
		{[]string{"num_gpu", "40"}, []string{"num_gpu", "30"}, true},
		{[]string{"num_gpu", "30"}, []string{"num_gpu", "40"}, false},
		{[]string{"num_gpu", "auto"}, []string{"num_gpu", "30"}, false},
		{[]string{"num_gpu", "auto"}, []string{"num_gpu", "auto"}, true},
		{[]string{"num_gpu", "30"}, []string{"num_gpu", "auto"}, false},
		{[]string{"kv_cache_type", "f16"}, []string{"kv_cache_type", "q8_0"}, true},
		{[]string{"kv_cache_type", "q4_0"}, []string{"kv_cache_type", "q8_0"}, false},
		{[]string{"kv_cache_type", "auto"}, []string{"kv_cache_type", "q8_0"}, false},
		{[]string{"num_parallel", "4"}, []string{"num_parallel", "1"}, true},
		{[]string{"num_thread", "16"}, []string{"num_thread", "8"}, false},
		{[]string{"num_thread", "8"}, []string{"num_thread", "8"}, true},
		{[]string{"flash_attention", "off"}, []string{"flash_attention", "on"}, false},
		{[]string{"num_gpu", "40", "kv_cache_type", "q8_0"}, []string{"num_gpu", "30", "kv_cache_type", "f16"}, false},
		{[]string{"num_gpu", "40"}, nil, false},
	} {
		assert.Equal(t, test.want, of(test.more...).NeedsMemoryOf(of(test.less...)), "%v %v", test.more, test.less)
	}
	assert.False(t, Key{Ctx: 2048, Batch: 512}.NeedsMemoryOf(Key{Ctx: 4096, Batch: 512}))
}

// FuzzEscape: whatever the value of a setting, the name of its cell has as many parts as settings, and
// benchfmt reads the value back whole.
func FuzzEscape(f *testing.F) {
	for _, v := range []string{"", "auto", "a/b", "x=y", "-12", "a-1", "1-2-3", "%41", "\u00fc", "a b"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		s := NewSettings(Value{"A", value}, Value{"B", value})
		got, ok := s.Value("B")
		require.True(t, ok)
		assert.Equal(t, value, got)
		_, parts := benchfmt.Name("Sweep/" + Key{Ctx: 1, Batch: 2, Settings: s}.String()).Parts()
		require.Len(t, parts, 4)
		assert.Equal(t, "/B="+strings.Split(string(s), "/B=")[1], string(parts[3]))
	})
}

func TestNamesWithSettings(t *testing.T) {
	plan, _ := Grid{Ctx: []int{4, 8}, Batch: []int{2}, Settings: []SettingAxis{{"num_gpu", []string{"1", "2"}}}}.Cells()
	assert.Equal(t, "num_ctx=4, 8 with num_batch=2 (num_gpu=1; num_gpu=2)", Names(plan))
	assert.Equal(t, "num_ctx=4 with num_batch=2 (num_gpu=1; num_gpu=2); num_ctx=8 with num_batch=2 (num_gpu=1)", strings.Join([]string{Names(plan[:2]), Names(plan[2:3])}, "; "))

	threads := SettingAxis{Name: "num_thread"}
	for i := range 40 {
		threads.Values = append(threads.Values, strconv.Itoa(i+1))
	}
	plan, _ = Grid{Ctx: []int{4, 8}, Batch: []int{2}, Settings: []SettingAxis{{"num_gpu", []string{"1"}}, threads, {"flash_attention", []string{"on"}}}}.Cells()
	assert.Equal(t, "num_ctx=4 with num_batch=2 (num_thread=1; num_thread=2), all with num_gpu=1, flash_attention=on", Names(plan[:2]))
	all := Names(plan)
	assert.Regexp(t, `^num_ctx=4 with num_batch=2 \(num_thread=1; num_thread=2; .*; num_thread=3\d\) and 4\d more, all with num_gpu=1, flash_attention=on$`, all)
	assert.Less(t, len(all), 600)
}

func TestSettingAxes(t *testing.T) {
	axes := []SettingAxis{{Name: "num_thread", Values: []string{"8", "auto", "4"}}, {Name: "flash_attention", Values: []string{"on", "off"}}}
	cells, _ := Grid{Ctx: []int{1024}, Batch: []int{64, 128}, Settings: axes}.Cells()
	assert.Equal(t, axes, SettingAxes(cells))
	assert.Empty(t, SettingAxes([]Key{{Ctx: 1024, Batch: 64}}))
}
