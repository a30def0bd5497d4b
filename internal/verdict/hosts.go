package verdict

import (
	"cmp"
	"math"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// SharedCell is a cell that was measured on several hosts.
type SharedCell struct {
	cell.Key
	Hosts []HostLoads
}

// HostLoads is one host's measurement of a cell.
type HostLoads struct {
	Host string
	// Rates has the rate of each load in tokens per second, which is the median of
	// its samples.
	Rates []float64
}

// Spread is how much the hosts of a sweep, which should be equally fast, differ.
type Spread struct {
	Cells []CellSpread // the cells that at least two hosts have measured
	Hosts []HostRatio  // the slowest first
	// Noise is the relative standard deviation of one load's rate on one host, pooled
	// over all cells and hosts; 0 where no host has two loads of a cell.
	Noise float64
}

// CellSpread is the difference between the fastest and the slowest host at one cell.
type CellSpread struct {
	cell.Key
	Slowest, Fastest string
	Ratio            float64 // relative: 0.04 is 4 %
	// Low and High bound the 95 % interval of the ratio between the true rates of the
	// fastest and the slowest of all hosts, simultaneous for all cells:
	//
	//	log ratio ± t · Noise · √(1/n1 + 1/n2)
	//
	// n1 and n2 are the numbers of loads of the two hosts, and t is the quantile of
	// Student's t with Bonferroni's correction for all pairs of hosts at all cells.
	// Without Noise it is not Bounded. Significant says that it excludes 0.
	Low, High            float64
	Bounded, Significant bool
}

// HostRatio is how fast a host is, relative to the median one: -0.04 is 4 % slower.
type HostRatio struct {
	Host  string
	Ratio float64 // the geometric mean over the cells that it has measured
}

// SpreadOf compares the hosts. Each cell may list a host once. It returns false where
// no cell has loads of two hosts.
func SpreadOf(cells []SharedCell) (Spread, bool) {
	var all [][]hostLogs
	comparisons := 0
	for _, c := range cells {
		hosts := logsOf(c)
		all = append(all, hosts)
		comparisons += len(hosts) * (len(hosts) - 1) / 2
	}
	noise := loadScatter(all)
	s := Spread{Noise: noise.sd, Hosts: hostRatios(all)}
	for i, hosts := range all {
		if len(hosts) > 1 {
			spread := spreadOf(hosts, noise, comparisons)
			spread.Key = cells[i].Key
			s.Cells = append(s.Cells, spread)
		}
	}
	return s, len(s.Cells) > 0
}

// hostLogs is the logarithms of a host's rates of one cell.
type hostLogs struct {
	host string
	logs []float64
	mean float64
}

// logsOf returns the logarithms of each host's rates, the slowest host first.
func logsOf(c SharedCell) []hostLogs {
	var hosts []hostLogs
	for _, h := range c.Hosts {
		logs := measured(h.Rates)
		for i, rate := range logs {
			logs[i] = math.Log(rate)
		}
		if len(logs) > 0 {
			hosts = append(hosts, hostLogs{h.Host, logs, stat.Mean(logs, nil)})
		}
	}
	slices.SortStableFunc(hosts, func(a, b hostLogs) int { return cmp.Compare(a.mean, b.mean) })
	return hosts
}

// loadScatter pools the scatter of loads over all hosts and cells.
func loadScatter(cells [][]hostLogs) scatter {
	var squares float64
	var df int
	for _, hosts := range cells {
		for _, h := range hosts {
			for _, x := range h.logs {
				squares += (x - h.mean) * (x - h.mean)
			}
			df += len(h.logs) - 1
		}
	}
	return scatterOf(squares, df)
}

// spreadOf compares the slowest with the fastest of at least two hosts.
func spreadOf(hosts []hostLogs, noise scatter, comparisons int) CellSpread {
	slow, fast := hosts[0], hosts[len(hosts)-1]
	d := fast.mean - slow.mean
	s := CellSpread{Slowest: slow.host, Fastest: fast.host, Ratio: math.Expm1(d), Low: math.Expm1(d), High: math.Expm1(d)}
	if noise.df == 0 {
		return s
	}
	t := distuv.StudentsT{Sigma: 1, Nu: float64(noise.df)}.Quantile(1 - alpha/2/float64(comparisons))
	half := t * noise.sd * math.Sqrt(1/float64(len(slow.logs))+1/float64(len(fast.logs)))
	const rounding = 1e-9 // for equal rates, which have no noise
	s.Low, s.High, s.Bounded = math.Expm1(max(0, d-half)), math.Expm1(d+half), true
	s.Significant = d-half > rounding
	return s
}

// hostRatios compares each host with the median one.
func hostRatios(cells [][]hostLogs) []HostRatio {
	differences := make(map[string][]float64) // of each cell, by host
	for _, hosts := range cells {
		var means []float64
		for _, h := range hosts {
			means = append(means, h.mean)
		}
		middle := Median(means)
		for _, h := range hosts {
			differences[h.host] = append(differences[h.host], h.mean-middle)
		}
	}
	var ratios []HostRatio
	for host, ds := range differences {
		ratios = append(ratios, HostRatio{host, math.Expm1(stat.Mean(ds, nil))})
	}
	slices.SortFunc(ratios, func(a, b HostRatio) int {
		return cmp.Or(cmp.Compare(a.Ratio, b.Ratio), cmp.Compare(a.Host, b.Host))
	})
	return ratios
}
