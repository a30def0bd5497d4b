// Package shell quotes words of commands that are printed for pasting, and reads them again. It runs
// nothing and expands nothing.
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

// plain matches what every shell leaves as it is. zsh takes a word that begins with = for
// the name of a command.
var plain = regexp.MustCompile(`^[\w@%+:,./-][\w@%+=:,./-]*$`)

// Quoted returns the text as a word for a shell, on one line: as it is, in single quotes, or
// where it holds what is not printed, as what printf makes of it.
func Quoted(text string) string {
	switch {
	case plain.MatchString(text):
		return text
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return escaped(text)
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// What stands around a text with escapes. A shell removes newlines from the end of what a
// command prints; the second form keeps them, which bash, zsh and ksh read and an older sh does not.
const (
	printed, printedEnd = `"$(printf '`, `')"`
	ansi, ansiEnd       = `$'`, `'`
)

// letter matches what needs no escape.
var letter = regexp.MustCompile(`^[\w@+:,./ =]$`)

// escaped returns the text with all but letters as bytes. A byte has three octal digits, so that
// none that follows is taken for one of its own.
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

// FileArgument returns a file's name as a word for a shell that no command takes for a flag.
func FileArgument(name string) string {
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	return Quoted(name)
}

// errQuotes says that text is no words as Quoted writes them.
var errQuotes = errors.New("a quote or an escape has no end")

// Words is the inverse of Quoted: it returns the words of a command. It expands nothing, and
// takes what has a meaning to a shell for a part of a word.
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

// unescaped reads what escaped writes, up to its end.
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
