package shell

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// oddNames are file names with characters that are special to a shell or a terminal.
var oddNames = []string{
	"plain", "", " ", "two words", "two  words", "it's", `"`, "`id`", "$(id)", "$HOME", "a;id", "a&id", "a|id", "a>b", "a\\b", `\`,
	"~", "~/x", "=ls", "-rf", "--", "*", "?", "[a]", "{a,b}", "#x", "!x", "!!", "a=b", "100%", "%s\x01", "ü ß", "日本", "'", "''", `'\''`,
	"a\nb", "a\n", "\n", "\r", "a\tb", "\x1b[2J", "\x07", "a\x7fb", "\u202eevil", "\u00a0", "\xff\xfe", "\x1b1", "\x011", "it's\n$(id)", "-a\n", "=\n",
}

// TestQuotedRoundTrip: shells parse a quoted word as the original text, alone and as a flag's value.
func TestQuotedRoundTrip(t *testing.T) {
	for _, shell := range []string{"sh", "bash", "dash", "busybox sh", "ksh", "zsh"} {
		words := strings.Fields(shell)
		if _, err := exec.LookPath(words[0]); err != nil {
			require.NotContains(t, []string{"sh", "bash"}, shell)
			continue
		}
		for _, name := range oddNames {
			word := Quoted(name)
			assert.NotRegexp(t, `[\x00-\x1f\x7f]`, word)
			if strings.HasPrefix(word, ansi) && shell != "bash" && shell != "ksh" && shell != "zsh" {
				assert.True(t, strings.HasSuffix(name, "\n"))
				continue
			}
			script := "printf '<%s>' " + word + " -out=" + word
			out, err := exec.CommandContext(t.Context(), words[0], append(words[1:], "-c", script)...).CombinedOutput()
			require.NoError(t, err, "%s: %s", shell, script)
			assert.Equal(t, "<"+name+"><-out="+name+">", string(out), "%s: %s", shell, script)
		}
	}
}

func TestQuotedStaysReadable(t *testing.T) {
	for text, want := range map[string]string{
		"results/my-1of4": "results/my-1of4",
		"my sweep":        "'my sweep'",
		"it's":            `'it'\''s'`,
		"a\nb ü":          `"$(printf 'a\012b \303\274')"`,
		"a\n":             `$'a\012'`,
		"日本":              "'日本'",
	} {
		assert.Equal(t, want, Quoted(text))
	}
	assert.Equal(t, "./-my.yaml", FileArgument("-my.yaml"))
	assert.Equal(t, "'my file.yaml'", FileArgument("my file.yaml"))
}

func TestWordsOfQuoted(t *testing.T) {
	var command []string
	for _, name := range oddNames {
		command = append(command, Quoted(name), "-out="+Quoted(name))
	}
	words, err := Words(strings.Join(command, " "))
	require.NoError(t, err)
	for i, name := range oddNames {
		if assert.Less(t, 2*i+1, len(words)) {
			assert.Equal(t, name, words[2*i])
			assert.Equal(t, "-out="+name, words[2*i+1])
		}
	}
	for _, text := range []string{"'", "a 'b", "$'a", `$'\9'`, `$'\`, `$'\01'`, `$'\400'`, `"$(printf 'a'`, `"$(printf '\')"`} {
		_, err := Words(text)
		assert.Error(t, err, text)
	}
}

func FuzzWords(f *testing.F) {
	for _, name := range oddNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if strings.Contains(name, "\x00") {
			return // not a file name
		}
		words, err := Words(Quoted(name) + " " + Quoted(name))
		require.NoError(t, err)
		assert.Equal(t, []string{name, name}, words)
		_, _ = Words(name)
	})
}
