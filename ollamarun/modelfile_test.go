package ollamarun

import (
	"os"
	"os/user"
	"path/filepath"
	"testing"

	"github.com/ollama/ollama/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/modelfile"
)

// templates is the folder of Modelfiles from public reports and Ollama's documentation, and
// of made-up ones. Those of ollama-0.32.5 were printed by that version's
// `ollama show --modelfile`; their folder names were changed.
const templates = "testdata/modelfile"

const blobs = "/home/user/.ollama/models/blobs/"

// TestReadModelfile checks that Modelfiles are parsed as by `ollama create`.
func TestReadModelfile(t *testing.T) {
	here, err := filepath.Abs(templates)
	require.NoError(t, err)
	home, err := user.Current()
	require.NoError(t, err)
	for file, want := range map[string][]parser.Command{
		"draft": {
			{Name: "model", Args: "hf.co/someone/Qwen3.6-27B-MTP-GGUF:Q4_K_M"},
			{Name: "draft", Args: filepath.Join(here, "mtp-draft.gguf")},
			{Name: "renderer", Args: "qwen3.8"},
			{Name: "parser", Args: "qwen3.5"},
			{Name: "num_ctx", Args: "32768"},
			{Name: "draft_num_predict", Args: "4"},
		},
		"lower-case": {
			{Name: "model", Args: "llama3.2:1b"},
			{Name: "system", Args: "\n\n"},
			{Name: "temperature", Args: "0.5"},
			{Name: "top_p", Args: "0.9"},
			{Name: "num_ctx", Args: "16384"},
		},
		"bom-crlf": {
			{Name: "model", Args: "llama3.2"},
			{Name: "num_ctx", Args: "8192"},
			{Name: "system", Args: "You are\r\nPARAMETER num_batch 9999\r\na bot."},
			{Name: "stop", Args: "User:"},
		},
		"home": {
			{Name: "model", Args: filepath.Join(home.HomeDir, "models/llama.gguf")},
			{Name: "num_ctx", Args: "8192"},
		},
		"upper-case": { // refused by Check
			{Name: "model", Args: "llama3.2"},
			{Name: "NUM_CTX", Args: "16384"},
			{Name: "Num_Batch", Args: "128"},
		},
		"requires": {
			{Name: "model", Args: "llama3.2"},
			{Name: "template", Args: "{{ .Prompt }}"},
			{Name: "renderer", Args: "qwen3.5"},
			{Name: "parser", Args: "qwen3.5"},
			{Name: "requires", Args: "0.17.1"},
			{Name: "num_ctx", Args: "262144"},
			{Name: "num_predict", Args: "16384"},
		},
		"message": {
			{Name: "model", Args: "llama3.2"},
			{Name: "message", Args: "user: Is Toronto in Canada?"},
			{Name: "message", Args: "assistant: yes"},
			{Name: "license", Args: "MIT\nPARAMETER num_ctx 1\n"},
			{Name: "adapter", Args: filepath.Join(here, "lora.gguf")},
		},
		"show-gpt-oss": {
			{Name: "model", Args: blobs + "sha256-b112"},
			{Name: "template", Args: "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n{{- if \"x\" }}\"quoted\"{{ end }}"},
			{Name: "temperature", Args: "1"},
			{Name: "license", Args: "                                 Apache License\n  \"License\" shall mean"},
		},
		"stop-block": {
			{Name: "model", Args: "llama3.2"},
			{Name: "system", Args: `You are "Bob".`},
			{Name: "stop", Args: "\nPARAMETER num_batch 7\n"},
			{Name: "min_p", Args: "0.05"},
		},
		"ollama-0.32.5-show-drafted": {
			{Name: "model", Args: blobs + "sha256-733879aa234e62dec0acd1df9736ed703341449de8dc8bdee4bafa62653716a3"},
			{Name: "draft", Args: blobs + "sha256-073b2401203c1f9bfd09689fa365849f36eb9e6186e454a181c31a7335ad9b32"},
			{Name: "template", Args: "{{ .Prompt }}"},
		},
		"ollama-0.32.5-show-vision": {
			{Name: "model", Args: blobs + "sha256-733879aa234e62dec0acd1df9736ed703341449de8dc8bdee4bafa62653716a3"},
			{Name: "model", Args: blobs + "sha256-85544db7afbebd0cb2acd8a10eceb2e0b8ce79b28425ca25ded9b59131d07c7c"},
			{Name: "template", Args: "{{ .Prompt }}"},
			{Name: "num_thread", Args: "1"},
		},
		"ollama-0.32.5-show-mlx": {
			{Name: "model", Args: "mlx:latest"},
			{Name: "template", Args: "{{ .Prompt }}"},
		},
	} {
		m, err := ReadModelfile(filepath.Join(templates, file))
		require.NoError(t, err, file)
		assert.Equal(t, want, m.commands, file)
		again, err := modelfile.Parse([]byte(m.String()))
		require.NoError(t, err, file)
		assert.Equal(t, want, again, "%s written and read again", file)
	}
}

// TestReadModelfileRefuses checks that errors have the line and what to write instead.
func TestReadModelfileRefuses(t *testing.T) {
	const commentAdvice = ": Ollama reads the rest of the line as the value, so put the comment on a line of its own"
	for file, want := range map[string]string{
		"equals-sign":                    `: line 2: "PARAMETER num_ctx=8192": expected a name and a value, like PARAMETER num_ctx 8192 or MESSAGE user Hello`,
		"quoted-name":                    `: line 2: "PARAMETER \"num_ctx\" 8192": expected a name and a value, like PARAMETER num_ctx 8192 or MESSAGE user Hello`,
		"ollama-0.32.5-show-cloud":       ": line 5: FROM has no value: write one, or omit the line (`ollama show` prints none for the FROM of a cloud model, which can't be measured)",
		"ollama-0.32.5-show-half-quoted": `: line 7: "SYSTEM \"Hi\" she said": its value begins with a quotation mark, but ` + "`ollama show`" + ` did not quote it: enclose it in triple quotes`,
	} {
		file = filepath.Join(templates, file)
		_, err := ReadModelfile(file)
		assert.EqualError(t, err, "modelfile "+file+want)
	}

	file := filepath.Join(t.TempDir(), "template")
	for text, want := range map[string]string{
		"FROM x\nPARAMETER num_ctx 8192 # small\n":       "line 2: PARAMETER num_ctx: invalid int value [8192 # small]" + commentAdvice,
		"FROM x\n\nPARAMETER use_mmap yes\n":             "line 3: PARAMETER use_mmap: invalid bool value [yes]" + commentAdvice,
		"FROM x\r\nPARAMETER temperature 0.5 # t\r\n":    "line 2: PARAMETER temperature: invalid float value [0.5 # t]" + commentAdvice,
		"FROM llama3.2 # the base\n":                     `line 1: FROM: invalid value "llama3.2 # the base"` + commentAdvice,
		"FROM x\nRENDERER qwen3.5 # r\n":                 `line 2: RENDERER: invalid value "qwen3.5 # r"` + commentAdvice,
		"FROM x\nADAPTER ./lora.gguf\t# a\n":             `line 2: ADAPTER: invalid value "./lora.gguf\t# a"` + commentAdvice,
		"FROM llama 3.2\n":                               "line 1: FROM: llama 3.2 is neither a file nor a valid model name: write the name as `ollama list` shows it",
		"FROM ~nosuchuser/x.gguf\n":                      "line 1: FROM: finding the home folder: user: unknown user nosuchuser",
		"FROM C#coder\n":                                 "line 1: FROM: C#coder is neither a file nor a valid model name: write the name as `ollama list` shows it",
		"FROM x\nDRAFT\n":                                `line 2: "DRAFT": command must be one of`,
		"FROM x\nSYSTEM \"\"\"a\nb\nPARAMETER top_k 1\n": `line 2: "SYSTEM \"\"\"a": the quotes of its value are not closed`,
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		_, err := ReadModelfile(file)
		assert.ErrorContains(t, err, "modelfile "+file+": "+want, text)
	}

	for _, text := range []string{
		"FROM x\nSYSTEM be # brief\n", "FROM x\nPARAMETER stop # \n", "FROM x\nPARAMETER mirostat 1 # old\n", "FROM x\nPARAMETER newer 1.5 x\n", "FROM gpt-oss:20b:cloud\n",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		_, err := ReadModelfile(file)
		assert.NoError(t, err, "%s is read, as Ollama does or may", text)
	}
}

// TestCheckModelfile checks that missing files are found before the first request to a server.
func TestCheckModelfile(t *testing.T) {
	read := func(text string) (file string, m Modelfile) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "weights.gguf"), nil, 0o644))
		file = filepath.Join(dir, "template")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		m, err := ReadModelfile(file)
		require.NoError(t, err)
		return file, m
	}
	for _, text := range []string{"FROM weights.gguf\nADAPTER weights.gguf\nDRAFT ./weights.gguf\n", "FROM .\n", "FROM tiny\nPARAMETER newer 1\n"} {
		_, m := read(text)
		assert.NoError(t, m.Check(), text)
	}
	file, m := read("FROM ./none.gguf\n")
	assert.EqualError(t, m.Check(), "modelfile "+file+": FROM: there is no file "+filepath.Join(filepath.Dir(file), "none.gguf")+": names in a template are relative to the template's folder")
	file, m = read("FROM tiny\nDRAFT none.gguf\n")
	assert.ErrorContains(t, m.Check(), "modelfile "+file+": DRAFT: there is no file ")
	file, m = read("FROM " + blobs + "sha256-b112\n")
	assert.EqualError(t, m.Check(), "modelfile "+file+": FROM: there is no file "+blobs+"sha256-b112 on this machine: it is a file of the server, as `ollama show` prints it; write the model's name instead")
	file, m = read("FROM tiny\nPARAMETER NUM_CTX 16384\n")
	assert.EqualError(t, m.Check(), "modelfile "+file+": PARAMETER NUM_CTX: Ollama accepts it in lower case only: write num_ctx")
}
