package search

import (
	"math"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// A probe is a pass of b tokens under the load of a larger num_batch. The model takes it for a reading of
// num_batch = b under the memory of that load, with an error of its own, which grows out of the cells that
// have both (see shape).

// probedDesign is the initial design where loads can be probed. nextOfSpread continues it.
var probedDesign = []position{{0, 1}}

// spread is the num_ctx, as shares of the axis, at which the cell with the highest expected rate is measured
// after the first load was probed.
var spread = []float64{0, 0.5, 1}

// probed returns the readings of probes under the load of a cell, of those sizes that are a num_batch
// of the space.
func (s *space) probed(cell int, probes []checkpoint.ProbeRates) (all []*measured) {
	for _, p := range probes {
		if pass, ok := slices.BinarySearch(s.batchs, p.NumBatch); ok && len(p.Rates) > 0 {
			all = append(all, &measured{point: point{cell, pass, true}, logs: logs(p.Rates)})
		}
	}
	return all
}

// probeable returns the points of probes that the loaded cell can have.
func (v *view) probeable() (points []point) {
	i, ok := v.index[v.st.Loaded]
	if !ok || !v.st.Probes || v.byCell[i] == nil || v.st.Measured[v.cells[i]].Closed {
		return nil
	}
	had := make(map[point]int) // readings
	for _, o := range v.probes {
		had[o.point] = len(o.logs)
	}
	for pass, size := range v.batchs {
		if size < 1 {
			continue // left to the server
		}
		if p := (point{i, pass, true}); pass <= v.batch[i] && size <= v.st.PromptTokens && had[p] < mostSamples {
			points = append(points, p)
		}
	}
	return points
}

// firstProbes returns the probes of the first loaded cell: of each size, once.
func (v *view) firstProbes() []point {
	if len(v.probes) > 0 || len(v.obs) > 1 {
		return nil
	}
	return v.probeable()
}

// worthProbing returns those of the probes whose expected gain, relative to their cost, is
// at least that, if together they are worth the prompt that the server has to read before them.
func (v *view) worthProbing(points []point, c *columns, least float64) (worth []point) {
	if len(points) == 0 {
		return nil
	}
	sum, cost := 0.0, PromptShare/2
	for i, gain := range c.probeGains(points) {
		if gain >= least*v.cost(points[i]) {
			worth = append(worth, points[i])
			sum, cost = sum+gain, cost+v.cost(points[i])
		}
	}
	if sum < least*cost {
		return nil
	}
	return worth
}

// probe returns the choice of probes of the loaded cell.
func (v *view) probe(points []point, a *checkpoint.Answer) sweep.Choice {
	i := points[0].cell
	choice := v.choose(i, len(v.byCell[i].logs), probing, a)
	for _, p := range points {
		choice.Probes = append(choice.Probes, v.batchs[p.pass])
	}
	return choice
}

// cost returns the cost of a probe, where a load with one prompt costs 1.
func (v *view) cost(p point) float64 {
	return PromptShare * float64(v.batchs[p.pass]) / float64(v.st.PromptTokens)
}

// PromptShare is the share of a prompt in the cost of a load with one prompt: a load takes about as long
// as three prompts.
const PromptShare = 0.25

// nextOfSpread returns the unmeasured cell with the highest expected rate of the first num_ctx of the
// spread that has none of its cells measured; the first one has that of the initial design.
func (v *view) nextOfSpread(prospects []prospect) (int, bool) {
	for n, share := range spread {
		ctx := int(math.Round(share * float64(len(v.ctxs)-1)))
		results := 0
		for _, i := range v.failed {
			if v.ctx[i] == ctx {
				results++
			}
		}
		best, most := -1, math.Inf(-1)
		for j, i := range v.usable {
			if v.ctx[i] != ctx {
				continue
			}
			if v.byCell[i] != nil {
				results++
			}
			if rate := prospects[j].mean + math.Log(v.feas.works(i)); i < v.planned && rate > most {
				best, most = i, rate
			}
		}
		first := n == 0 && results == 1 && len(v.obs) == 1
		if best >= 0 && v.unmeasured(best) && (results == 0 || first) {
			return best, true
		}
	}
	return 0, false
}

// probesScatter is 0 where readings of probes scatter about as samples do, and 1 where they scatter so much more
// that a search has to measure about as many cells as it would without them: passes of milliseconds on a busy CPU.
func (m *model) probesScatter() float64 {
	var more float64 // the variance that the largest probes have besides that of a sample, relative to that
	for _, p := range m.posts {
		more += p.weight * p.k.probeNoise * p.k.probeNoise / (p.k.noise * p.k.noise)
	}
	return min(max(more-1, 0)/2, 1)
}

// between interpolates between positive thresholds, on their logarithms.
func between(a, b, share float64) float64 { return a * math.Pow(b/a, share) }
