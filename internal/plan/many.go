package plan

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// manyCells is the number of cells above which an exhaustive sweep takes so long that a search is suggested.
const manyCells = 10_000

// Suggest returns a line that suggests a search instead of an exhaustive sweep of very many cells, with what
// both cost; empty for other sweeps. It simulates the search, which takes seconds.
func Suggest(in Input) (string, error) {
	if in.Config.Strategy != config.StrategyExhaustive || in.Config.Grid().Count() <= manyCells {
		return "", nil
	}
	p, exhaustive := count(in)
	if p.ToDo <= manyCells {
		return "", nil
	}
	best, err := p.bestCost()
	if err != nil {
		return "", err
	}
	p.addAutomatic(&exhaustive)
	p.addAutomatic(&best)
	return suggestion(exhaustive, best, p.ToDo), nil
}

func (p *Plan) bestCost() (Cost, error) {
	k, _ := search.KindOf(config.StrategyBest)
	return p.searchCost(k)
}

// suggestion returns the line for the costs of an exhaustive sweep and of the search.
func suggestion(exhaustive, best Cost, toDo int) string {
	loads := fmt.Sprintf("%v %s", sweep.Range{Least: best.Least, Most: best.Most}, english.PluralWord(best.Most, "load", ""))
	if best.Auxiliary > 0 {
		loads += fmt.Sprintf(" and up to %d auxiliary ones", best.Auxiliary)
	}
	return fmt.Sprintf("%s cells to do take %v: -strategy %s searches for the fastest with %s, about %v",
		humanize.Comma(int64(toDo)), short(exhaustive.Time), best.Strategy, loads, short(best.Time))
}

// suggested returns the line of the plan that suggests a search, empty where there is none.
func (p *Plan) suggested() string {
	if p.Config.Strategy != config.StrategyExhaustive || p.ToDo <= manyCells {
		return ""
	}
	for _, c := range p.Costs {
		if c.Strategy == config.StrategyBest {
			return suggestion(p.Costs[0], c, p.ToDo)
		}
	}
	return ""
}
