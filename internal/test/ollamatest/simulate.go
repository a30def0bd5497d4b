package ollamatest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ollama/ollama/api"
)

type requestKey struct{}

func withRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// settings are what a model is loaded with.
type settings struct {
	Model    string
	NumCtx   int `json:"num_ctx"`
	NumBatch int `json:"num_batch"`
}

// simulation is what a server has and does.
type simulation struct {
	mu      sync.Mutex
	models  []string             // with tags
	copied  map[string]time.Time // when each that was made by a request was
	loaded  settings             // zero for nothing
	keep    time.Duration        // how long that stays after its newest request
	expires time.Time            // when that goes; zero until no request has been at work since its load
	asked   int                  // requests to it that have not ended
	turn    sync.Mutex           // of the one that is read
	clock   time.Duration
}

// loadTime is how long a load takes.
const loadTime = 3 * time.Millisecond

// Simulate has the server keep models, load and unload them, and read prompts:
// a token for each byte, at a rate that follows from the settings alone. So a
// sweep gets the same figures each time. By a clock of 1 all takes the time that
// the server says. A clock of 100 says a hundred times as much: a busy machine
// can't hold such an answer up for so long that its figures are refused.
func (s *Server) Simulate(clock int) {
	s.mu.Lock() // which every request takes before it is answered
	defer s.mu.Unlock()
	s.simulated = true
	sim := &simulation{clock: time.Duration(clock), models: []string{"tiny:latest"}, copied: make(map[string]time.Time)}
	s.Answers["/api/tags"] = sim.tags
	s.Answers["/api/show"] = sim.show
	s.Answers["/api/ps"] = sim.ps
	s.Answers["/api/generate"] = sim.generate
	s.Answers["/api/create"] = sim.create
	s.Answers["/api/copy"] = sim.copy
	s.Answers["/api/delete"] = sim.delete
}

// tokensPerSec is the rate at which a prompt is read with these settings, by a
// clock of 1.
func tokensPerSec(numCtx, numBatch int) int { return 50_000 + numCtx%977 + 7*(numBatch%541) }

// body decodes what was asked.
func body(r *http.Request, v any) {
	asked := r.Context().Value(requestKey{}).(Request)
	json.Unmarshal([]byte(asked.Body), v) // what does not parse asks for nothing
}

func tagged(model string) string {
	if strings.Contains(model, ":") {
		return model
	}
	return model + ":latest"
}

// has reports whether the server has the model, and answers where it has not.
func (sim *simulation) has(w http.ResponseWriter, model string) bool {
	if slices.Contains(sim.models, tagged(model)) {
		return true
	}
	SayStatus(http.StatusNotFound, strings.Replace(Captured("generate-missing.json"), "nosuch", model, 1))(w, nil)
	return false
}

func (sim *simulation) tags(w http.ResponseWriter, r *http.Request) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	one := between(Captured("tags.json"), `{"models":[`, `]}`)
	var all []string
	for _, m := range sim.models {
		entry := strings.ReplaceAll(one, "tiny:latest", m)
		if at, ok := sim.copied[m]; ok {
			entry = strings.Replace(entry, "2026-11-23T07:06:01.295629452Z", at.Format(time.RFC3339Nano), 1)
		}
		all = append(all, entry)
	}
	Say(`{"models":[`+strings.Join(all, ",")+`]}`)(w, r)
}

func (sim *simulation) show(w http.ResponseWriter, r *http.Request) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	var asked struct{ Model string }
	body(r, &asked)
	if sim.has(w, asked.Model) {
		Say(Captured("show.json"))(w, r)
	}
}

func (sim *simulation) ps(w http.ResponseWriter, r *http.Request) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	if sim.loaded == (settings{}) {
		Say(`{"models":[]}`)(w, r)
		return
	}
	expires := sim.expires
	if expires.IsZero() {
		expires = time.Now().UTC().Add(sim.keep)
	}
	Say(strings.NewReplacer("tiny:latest", tagged(sim.loaded.Model), "2026-11-23T07:11:01.600707055Z", expires.Format(time.RFC3339Nano), `"context_length":2048`, fmt.Sprintf(`"context_length":%d`, sim.loaded.NumCtx)).Replace(Captured("ps.json")))(w, r)
}

func (sim *simulation) create(w http.ResponseWriter, r *http.Request) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	var asked struct{ Model, From string }
	body(r, &asked)
	if sim.has(w, asked.From) {
		sim.add(asked.Model)
		Say(`{"status":"success"}`+"\n")(w, r)
	}
}

// add adds a model, or makes it anew.
func (sim *simulation) add(model string) {
	model = tagged(model)
	sim.copied[model] = time.Now().UTC()
	if !slices.Contains(sim.models, model) {
		sim.models = append(sim.models, model)
	}
}

func (sim *simulation) copy(w http.ResponseWriter, r *http.Request) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	var asked struct{ Source, Destination string }
	body(r, &asked)
	if sim.has(w, asked.Source) {
		sim.add(asked.Destination)
		Say("")(w, r)
	}
}

func (sim *simulation) delete(w http.ResponseWriter, r *http.Request) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	var asked struct{ Model string }
	body(r, &asked)
	if sim.has(w, asked.Model) {
		sim.models = slices.DeleteFunc(sim.models, func(m string) bool { return m == tagged(asked.Model) })
		Say("")(w, r)
	}
}

func (sim *simulation) generate(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Model, Prompt string
		Options       settings
		KeepAlive     *api.Duration `json:"keep_alive"`
	}
	body(r, &asked)
	sim.mu.Lock()
	there := sim.has(w, asked.Model)
	sim.mu.Unlock()
	if !there {
		return
	}
	sim.begin()
	defer sim.end()
	if r.Context().Err() != nil {
		return // the client has gone, and so loads nothing
	}
	if asked.Prompt == "" {
		sim.load(settings{}, nil)
		Say(Captured("generate-unload.ndjson"))(w, r)
		return
	}
	want := asked.Options
	want.Model = asked.Model
	load := 50 * time.Microsecond
	if sim.load(want, asked.KeepAlive) {
		load = loadTime
	}
	tokens := min(len(asked.Prompt), want.NumCtx)
	read := time.Duration(tokens) * time.Second / time.Duration(tokensPerSec(want.NumCtx, want.NumBatch))
	generated := 629194 * time.Nanosecond // as captured
	time.Sleep(load + read + generated)
	load, read, generated = load*sim.clock, read*sim.clock, generated*sim.clock
	Say(strings.NewReplacer(
		`"total_duration":267417900`, fmt.Sprintf(`"total_duration":%d`, load+read+generated),
		`"load_duration":260133778`, fmt.Sprintf(`"load_duration":%d`, load),
		`"prompt_eval_count":21`, fmt.Sprintf(`"prompt_eval_count":%d`, tokens),
		`"prompt_eval_duration":5092533`, fmt.Sprintf(`"prompt_eval_duration":%d`, read),
		`"eval_duration":629194`, fmt.Sprintf(`"eval_duration":%d`, generated),
	).Replace(Captured("generate.ndjson")))(w, r)
}

// begin waits until the requests before are done.
func (sim *simulation) begin() {
	sim.mu.Lock()
	sim.asked++
	sim.mu.Unlock()
	sim.turn.Lock()
}

// end notes, as Ollama does, when the model goes only where no other request is at work.
func (sim *simulation) end() {
	sim.turn.Unlock()
	sim.mu.Lock()
	defer sim.mu.Unlock()
	if sim.asked--; sim.asked == 0 {
		sim.expires = time.Now().UTC().Add(sim.keep)
	}
}

// load reports whether the settings were not those of before. A request that names no time to keep
// the model leaves that of the request before, and after a load the server's own.
func (sim *simulation) load(want settings, keep *api.Duration) (anew bool) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	if anew = want != sim.loaded; anew {
		sim.loaded, sim.keep, sim.expires = want, 5*time.Minute, time.Time{}
	}
	if keep != nil {
		sim.keep = keep.Duration
	}
	return anew
}

// between returns what stands between two marks.
func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
}
