package picture

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"gonum.org/v1/plot/vg"
)

func TestWrap(t *testing.T) {
	f := sans(10)
	for _, tt := range []struct {
		name string
		text string
		w, h vg.Length
		want []string
		fits bool
	}{
		{"one line", "CUDA OOM", 200, 20, []string{"CUDA OOM"}, true},
		{"two lines", "CUDA OOM", 35, 30, []string{"CUDA", "OOM"}, true},
		{"too low", "CUDA OOM", 35, 20, []string{"CUDA", "OOM"}, false},
		{"too narrow", "CUDA OOM", 10, 200, nil, false},
		{"no words", " \n ", 10, 20, []string{""}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines, ok := wrap(f, tt.text, tt.w, tt.h)
			assert.Equal(t, tt.fits, ok)
			assert.Equal(t, tt.want, lines)
		})
	}
}

func TestShorten(t *testing.T) {
	f := sans(10)
	assert.Equal(t, "short", shorten(f, "short", 100))
	cut := shorten(f, "a rather long name of a model", 60)
	assert.Regexp(t, `^a rat.*…$`, cut)
	assert.LessOrEqual(t, width(f, cut), vg.Length(60))
	assert.Equal(t, "…", shorten(f, "anything", 1))
}
