package picture

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestScaleColor(t *testing.T) {
	s := Scale{Low: 100, High: 300, Colors: &Heat}
	assert.Equal(t, heat(0), s.color(100))
	assert.Equal(t, heat(0.5), s.color(200))
	assert.Equal(t, heat(1), s.color(300))
}

func TestBarMarks(t *testing.T) {
	for _, tt := range []struct {
		name      string
		low, high float64
		has       string
	}{
		{"close together", 78.2, 85.6, "81"},
		{"very close", 0.0101, 0.0108, "0.0104"},
		{"no exponents", 120_000, 3_400_000, "2000000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var labels []string
			for _, m := range (&Scale{Low: tt.low, High: tt.high}).marks() {
				assert.GreaterOrEqual(t, m.value, tt.low)
				assert.LessOrEqual(t, m.value, tt.high)
				assert.NotContains(t, labels, m.label)
				labels = append(labels, m.label)
			}
			assert.Contains(t, labels, tt.has)
		})
	}
}

// TestBarMarksStandApartAlike: marks that have no room are left out at like distances,
// the minor ones first.
func TestBarMarksStandApartAlike(t *testing.T) {
	marks := (&Scale{Low: 1854.4, High: 2406.9}).marks()
	assert.Greater(t, len(marks), 20)
	for every := range 6 {
		some := thinned(marks, every+1)
		assert.Greater(t, len(some), 3)
		var majors int
		for i, m := range some {
			if m.major {
				majors++
			}
			if i > 1 {
				assert.InDelta(t, some[1].value-some[0].value, m.value-some[i-1].value, 1e-6)
			}
		}
		assert.NotZero(t, majors)
	}
	assert.Empty(t, thinned(nil, 3))
}
