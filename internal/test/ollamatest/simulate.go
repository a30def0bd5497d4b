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

// settings are the settings with which a model is loaded.
type settings struct {
	Model    string
	NumCtx   int `json:"num_ctx"`
	NumBatch int `json:"num_batch"`
	// Other load options, empty where a request has none.
	NumThread json.Number `json:"num_thread"`
	NumGPU    json.Number `json:"num_gpu"`
}

// simulation is the state of a simulated server.
type simulation struct {
	mu      sync.Mutex
	models  []string             // with tags
	copied  map[string]time.Time // when each model that a request created was created
	loaded  settings             // of the loaded model; zero for none
	keep    time.Duration        // keep_alive of the loaded model
	expires time.Time            // of the loaded model; zero until a request has ended and no other is running
	pending int                  // requests that have not ended
	turn    sync.Mutex           // held by the request that is evaluated
	clock   time.Duration
	keeps   bool   // prompts, as KeepPrompts says
	kept    string // the newest prompt, used during a turn
	size    int    // tokens of it that were evaluated, used during a turn
}

// loadTime is the duration of a load.
const loadTime = 3 * time.Millisecond

// Simulate makes the server store models, load and unload them, and evaluate
// prompts, with a token for each byte. The rate depends only on the settings, so
// each sweep gets the same figures. With a clock of 1 everything takes the time that
// the server reports. With a clock of 100 it reports a hundred times as much, so that
// a busy machine can't delay an answer enough for its figures to be refused.
func (s *Server) Simulate(clock int) {
	s.mu.Lock() // which every request takes before it is answered
	defer s.mu.Unlock()
	sim := &simulation{clock: time.Duration(clock), models: []string{"tiny:latest"}, copied: make(map[string]time.Time)}
	s.simulation = sim
	s.Answers["/api/tags"] = sim.tags
	s.Answers["/api/show"] = sim.show
	s.Answers["/api/ps"] = sim.ps
	s.Answers["/api/generate"] = sim.generate
	s.Answers["/api/create"] = sim.create
	s.Answers["/api/copy"] = sim.copy
	s.Answers["/api/delete"] = sim.delete
}

// KeepPrompts makes a simulated server keep the newest prompt, as a real one does, so that a load can be
// probed: of a prompt that begins like it, only the rest is evaluated, and at least one token. An evaluation
// of another number of tokens than the last one takes a fixed time besides.
func (s *Server) KeepPrompts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.simulation.keeps = true
}

// resizeTime is that fixed time.
const resizeTime = 20 * time.Microsecond

// tokensPerSec returns the prompt eval rate with these settings and a clock of 1.
func tokensPerSec(numCtx, numBatch int) int { return 50_000 + numCtx%977 + 7*(numBatch%541) }

// decode decodes the body of a request.
func decode(r *http.Request, v any) {
	req := r.Context().Value(requestKey{}).(Request)
	json.Unmarshal([]byte(req.Body), v) // an invalid body counts as empty
}

func tagged(model string) string {
	if strings.Contains(model, ":") {
		return model
	}
	return model + ":latest"
}

// checkModel reports whether the server has the model, and answers with an error if not.
func (sim *simulation) checkModel(w http.ResponseWriter, model string) bool {
	if slices.Contains(sim.models, tagged(model)) {
		return true
	}
	ReplyStatus(http.StatusNotFound, strings.Replace(Captured("generate-missing.json"), "nosuch", model, 1))(w, nil)
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
	Reply(`{"models":[`+strings.Join(all, ",")+`]}`)(w, r)
}

func (sim *simulation) show(w http.ResponseWriter, r *http.Request) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	var req struct{ Model string }
	decode(r, &req)
	if sim.checkModel(w, req.Model) {
		Reply(Captured("show.json"))(w, r)
	}
}

func (sim *simulation) ps(w http.ResponseWriter, r *http.Request) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	if sim.loaded == (settings{}) {
		Reply(`{"models":[]}`)(w, r)
		return
	}
	expires := sim.expires
	if expires.IsZero() {
		expires = time.Now().UTC().Add(sim.keep)
	}
	Reply(strings.NewReplacer("tiny:latest", tagged(sim.loaded.Model), "2026-11-23T07:11:01.600707055Z", expires.Format(time.RFC3339Nano), `"context_length":2048`, fmt.Sprintf(`"context_length":%d`, sim.loaded.NumCtx)).Replace(Captured("ps.json")))(w, r)
}

func (sim *simulation) create(w http.ResponseWriter, r *http.Request) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	var req struct{ Model, From string }
	decode(r, &req)
	if sim.checkModel(w, req.From) {
		sim.add(req.Model)
		Reply(`{"status":"success"}`+"\n")(w, r)
	}
}

// add adds a model, or replaces it.
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
	var req struct{ Source, Destination string }
	decode(r, &req)
	if sim.checkModel(w, req.Source) {
		sim.add(req.Destination)
		Reply("")(w, r)
	}
}

func (sim *simulation) delete(w http.ResponseWriter, r *http.Request) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	var req struct{ Model string }
	decode(r, &req)
	if sim.checkModel(w, req.Model) {
		sim.models = slices.DeleteFunc(sim.models, func(m string) bool { return m == tagged(req.Model) })
		Reply("")(w, r)
	}
}

func (sim *simulation) generate(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Model, Prompt string
		Options       settings
		KeepAlive     *api.Duration `json:"keep_alive"`
	}
	decode(r, &req)
	sim.mu.Lock()
	there := sim.checkModel(w, req.Model)
	sim.mu.Unlock()
	if !there {
		return
	}
	sim.begin()
	defer sim.end()
	if r.Context().Err() != nil {
		return // the client has gone, so nothing is loaded
	}
	if req.Prompt == "" {
		sim.load(settings{}, nil)
		Reply(Captured("generate-unload.ndjson"))(w, r)
		return
	}
	want := req.Options
	want.Model = req.Model
	load := 50 * time.Microsecond
	if sim.load(want, req.KeepAlive) {
		load, sim.kept = loadTime, ""
	}
	tokens := min(len(req.Prompt), want.NumCtx)
	read := sim.read(req.Prompt[:tokens], want)
	generated := 629194 * time.Nanosecond // as captured
	time.Sleep(load + read + generated)
	load, read, generated = load*sim.clock, read*sim.clock, generated*sim.clock
	Reply(strings.NewReplacer(
		`"total_duration":267417900`, fmt.Sprintf(`"total_duration":%d`, load+read+generated),
		`"load_duration":260133778`, fmt.Sprintf(`"load_duration":%d`, load),
		`"prompt_eval_count":21`, fmt.Sprintf(`"prompt_eval_count":%d`, tokens),
		`"prompt_eval_duration":5092533`, fmt.Sprintf(`"prompt_eval_duration":%d`, read),
		`"eval_duration":629194`, fmt.Sprintf(`"eval_duration":%d`, generated),
	).Replace(Captured("generate.ndjson")))(w, r)
}

// read returns how long the evaluation of a prompt takes. With KeepPrompts it is that of its new part,
// whose rate is that of a num_batch of its size.
func (sim *simulation) read(prompt string, with settings) time.Duration {
	evaluated, batch, fixed := len(prompt), with.NumBatch, time.Duration(0)
	if sim.keeps {
		same := 0
		for same < min(len(prompt)-1, len(sim.kept)) && prompt[same] == sim.kept[same] {
			same++
		}
		evaluated, sim.kept = len(prompt)-same, prompt
		batch = min(batch, evaluated)
		if evaluated != sim.size {
			sim.size, fixed = evaluated, resizeTime
		}
	}
	threads, _ := with.NumThread.Int64()
	return fixed + time.Duration(evaluated)*time.Second/time.Duration(tokensPerSec(with.NumCtx, batch)+1000*int(threads))
}

// begin waits until all earlier requests are done.
func (sim *simulation) begin() {
	sim.mu.Lock()
	sim.pending++
	sim.mu.Unlock()
	sim.turn.Lock()
}

// end updates the expiry of the model only if no other request is running, as Ollama does.
func (sim *simulation) end() {
	sim.turn.Unlock()
	sim.mu.Lock()
	defer sim.mu.Unlock()
	if sim.pending--; sim.pending == 0 {
		sim.expires = time.Now().UTC().Add(sim.keep)
	}
}

// load loads the model and reports whether its settings have changed. A request without keep_alive
// does not change that of the previous one; after a load it is the server's default.
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

// between returns the text between two marks.
func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
}
