// Package shell quotes the words of commands that are printed for pasting, and parses such commands.
// It runs nothing and expands nothing.
package shell

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain matches words that need no quotes in any shell. zsh replaces a word that begins with =
// by the path of a command.
var plain = regexp.MustCompile(`^[\w@%+:,./-][\w@%+=:,./-]*$`)

// Quoted returns the text as one word for a shell, on one line: unchanged, in single quotes, or,
// where it has non-printing characters, with escapes.
func Quoted(text string) string {
	switch {
	case plain.MatchString(text):
		return text
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return escaped(text)
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// The delimiters of a text with escapes. A shell removes trailing newlines from the output of a
// command; the second form keeps them, but only bash, zsh and ksh support it.
const (
	printed, printedEnd = `"$(printf '`, `')"`
	ansi, ansiEnd       = `$'`, `'`
)

// letter matches characters that need no escape.
var letter = regexp.MustCompile(`^[\w@+:,./ =]$`)

// escaped returns the text with all other characters as octal escapes of their bytes, always of three
// digits, so that a following digit is not read as a part of the escape.
func escaped(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i : i+1]; letter.MatchString(c) {
			b.WriteString(c)
		} else {
			fmt.Fprintf(&b, `\%03o`, text[i])
		}
	}
	if strings.HasSuffix(text, "\n") {
		return ansi + b.String() + ansiEnd
	}
	return printed + b.String() + printedEnd
}

// FileArgument returns a file name as a word for a shell that is not mistaken for a flag.
func FileArgument(name string) string {
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	return Quoted(name)
}

// errQuotes is the error of text that Quoted can't have written.
var errQuotes = errors.New("a quote or an escape has no end")

// Words is the inverse of Quoted: it returns the words of a command. It expands nothing, and
// treats unquoted special characters as parts of a word.
func Words(command string) (words []string, err error) {
	rest := strings.TrimSpace(command)
	for rest != "" {
		var word string
		if word, rest, err = nextWord(rest); err != nil {
			return nil, err
		}
		words = append(words, word)
		rest = strings.TrimSpace(rest)
	}
	return words, nil
}

func nextWord(text string) (word, rest string, err error) {
	for text != "" {
		var part string
		switch {
		case strings.ContainsRune(" \t\r\n", rune(text[0])):
			return word, text, nil
		case strings.HasPrefix(text, printed):
			part, text, err = unescaped(text[len(printed):], printedEnd)
		case strings.HasPrefix(text, ansi):
			part, text, err = unescaped(text[len(ansi):], ansiEnd)
		case text[0] == '\'':
			var closed bool
			if part, text, closed = strings.Cut(text[1:], "'"); !closed {
				err = errQuotes
			}
		case strings.HasPrefix(text, `\'`):
			part, text = "'", text[2:]
		default:
			part, text = text[:1], text[1:]
		}
		if err != nil {
			return "", "", err
		}
		word += part
	}
	return word, "", nil
}

// unescaped reverses escaped, up to the closing delimiter end.
func unescaped(text, end string) (part, rest string, err error) {
	text, rest, closed := strings.Cut(text, end)
	if !closed {
		return "", "", errQuotes
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			continue
		}
		c, err := strconv.ParseUint(text[i+1:min(i+4, len(text))], 8, 8)
		if err != nil || i+4 > len(text) {
			return "", "", errQuotes
		}
		b.WriteByte(byte(c))
		i += 3
	}
	return b.String(), rest, nil
}
