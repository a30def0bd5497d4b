package report

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRateScale(t *testing.T) {
	s := rateScale(Stats{Min: 100, Max: 300})
	assert.Equal(t, heat(0), s.color(100))
	assert.Equal(t, heat(0.5), s.color(200))
	assert.Equal(t, heat(1), s.color(300))
	equal := rateScale(Stats{Min: 84.7, Max: 84.7})
	assert.Equal(t, heat(0.5), equal.color(84.7))
	assert.NotEmpty(t, equal.marks())
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
			for _, m := range (scale{low: tt.low, high: tt.high}).marks() {
				assert.GreaterOrEqual(t, m.value, tt.low)
				assert.LessOrEqual(t, m.value, tt.high)
				assert.NotContains(t, labels, m.label)
				labels = append(labels, m.label)
			}
			assert.Contains(t, labels, tt.has)
		})
	}
}

// TestThinnedBarMarks checks that thinned marks are equidistant and include major ones.
func TestThinnedBarMarks(t *testing.T) {
	marks := scale{low: 1854.4, high: 2406.9}.marks()
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
