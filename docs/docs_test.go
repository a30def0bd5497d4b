// Package docs holds the pages for users. Its tests check links, commands, and tables of what the
// code has. `.ci/run` runs every sh block.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = ".."

// page is a Markdown file.
type page struct {
	file string // relative to root
	text string
}

// block is a fenced block of a page.
type block struct {
	language string // empty for output, and for commands that .ci/run does not run
	lines    []string
}

func pages(t *testing.T) (all []page) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", ".github/*.md", ".github/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, file := range files {
			all = append(all, read(t, file))
		}
	}
	require.NotEmpty(t, all)
	return all
}

func read(t *testing.T, file string) page {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	name, err := filepath.Rel(root, file)
	require.NoError(t, err)
	return page{name, string(text)}
}

// parts splits a page into its prose and its fenced blocks.
func (p page) parts() (prose string, blocks []block) {
	var open *block
	var b strings.Builder
	for line := range strings.Lines(p.text) {
		line = strings.TrimSuffix(line, "\n")
		switch language, fence := strings.CutPrefix(line, "```"); {
		case fence && open == nil:
			open = &block{language: language}
		case fence:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.lines = append(open.lines, line)
		default:
			b.WriteString(line + "\n")
		}
	}
	return b.String(), blocks
}

var (
	inlineCode = regexp.MustCompile("`[^`]+`")
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// anchors returns the names that GitHub gives to a page's headings.
func (p page) anchors() map[string]bool {
	names := make(map[string]bool)
	prose, _ := p.parts()
	for _, h := range heading.FindAllStringSubmatch(prose, -1) {
		names[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, h[1])] = true
	}
	return names
}

// links returns the targets of a page's links and pictures.
func (p page) links() (targets []string) {
	prose, _ := p.parts()
	for _, l := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(prose, ""), -1) {
		targets = append(targets, l[1])
	}
	return targets
}

// TestLinks: the files and headings that pages link to exist.
func TestLinks(t *testing.T) {
	for _, p := range pages(t) {
		for _, target := range p.links() {
			if strings.HasPrefix(target, "https://") {
				continue
			}
			name, anchor, _ := strings.Cut(target, "#")
			file := filepath.Join(root, p.file)
			if name != "" {
				file = filepath.Join(filepath.Dir(file), name)
			}
			_, err := os.Stat(file)
			if assert.NoError(t, err, "%s links to %s", p.file, target) && anchor != "" {
				assert.True(t, read(t, file).anchors()[anchor], "%s links to %s, and the page has no such heading", p.file, target)
			}
		}
	}
}

// TestReadme: the README is short, and links to every page.
func TestReadme(t *testing.T) {
	readme := read(t, filepath.Join(root, "README.md"))
	assert.LessOrEqual(t, len(readme.text), 14_000)
	for _, p := range pages(t) {
		if filepath.Dir(p.file) == "docs" {
			assert.Contains(t, readme.links(), p.file)
		}
	}
}
