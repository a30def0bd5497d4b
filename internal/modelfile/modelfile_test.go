package modelfile

import (
	"strings"
	"testing"

	"github.com/ollama/ollama/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"
)

func FuzzFormat(f *testing.F) {
	f.Add([]byte("FROM x\nSYSTEM \"\"\"\"Hi\" she said\"\"\"\nPARAMETER stop \"\"\"\"\"\"\"\nMESSAGE user \"\ta\"\nLICENSE \"a\r\n\n\""))
	f.Add([]byte("# c\r\nfrom x\r\nDRAFT ./d\r\nparameter num_ctx 1 # c\r\ntemplate \"\"\"a\r\n b \"\"\" "))
	f.Fuzz(func(t *testing.T, text []byte) {
		commands, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse([]byte(Format(commands)))
		require.NoError(t, err, Format(commands))
		assert.Equal(t, commands, again)
		for i := range commands {
			assert.NotZero(t, Line(text, i))
		}
	})
}

func TestParseNamesTheLine(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"equals sign", "FROM x\nPARAMETER num_ctx=8192\nPARAMETER top_k 1\n", `line 2: "PARAMETER num_ctx=8192": expected a name and a value, like PARAMETER num_ctx 8192`},
		{"quoted name", "FROM x\r\n\r\nPARAMETER \"num_ctx\" 8192\r\n", `line 3: "PARAMETER \"num_ctx\" 8192": expected a name and a value`},
		{"no value", "FROM x\n# c\nPARAMETER num_ctx\n", `line 3: "PARAMETER num_ctx": expected a name and a value`},
		{"instruction without a value", "FROM\n", `line 1: "FROM": command must be one of "from", `},
		{"unknown instruction", "FROM x\nSYSTEM \"\"\"a\n\nb\"\"\"\nMODEL y\n", `line 5: "MODEL y": command must be one of "from", `},
		{"role", "FROM x\nMESSAGE robot hi\n", `line 2: "MESSAGE robot hi": message role must be one of`},
		{"unclosed quotes", "FROM x\nTEMPLATE \"\"\"a\nb\n", `line 2: "TEMPLATE \"\"\"a": the quotes of its value are not closed`},
		{"a quotation mark as a value", "FROM x\nPARAMETER stop \"\n", `line 2: "PARAMETER stop \"": the quotes of its value are not closed`},
		{"unclosed quotes in a long text", "FROM x\nTEMPLATE \"\"\"a\nb\n" + strings.Repeat("c\n", maxLines), `line 2: "TEMPLATE \"\"\"a": the quotes of its value are not closed within 1000 lines`},
		{"no FROM", "PARAMETER num_ctx 1\n", "no FROM line"},
		{"empty", "", "no FROM line"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.text))
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.want)
			utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(test.text)
			require.NoError(t, err)
			_, err = Parse([]byte(utf16))
			assert.ErrorContains(t, err, test.want, "in UTF-16, as PowerShell writes it")
		})
	}
}

func TestLine(t *testing.T) {
	const text = "\ufeff# c\r\nfrom x\r\n\r\nSYSTEM \"\"\"a\r\nPARAMETER num_ctx 1\r\nb\"\"\"\r\n  PARAMETER num_ctx 2"
	commands, err := Parse([]byte(text))
	require.NoError(t, err)
	assert.Equal(t, []parser.Command{{Name: "model", Args: "x"}, {Name: "system", Args: "a\r\nPARAMETER num_ctx 1\r\nb"}, {Name: "num_ctx", Args: "2"}}, commands)
	for i, want := range []int{2, 4, 7, 0} {
		assert.Equal(t, want, Line([]byte(text), i))
	}
}
