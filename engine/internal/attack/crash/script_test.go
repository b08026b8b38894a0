package crash

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/engine/workflow"
)

// This file has the workflow of the crash test, and the scripts of its calls, messages
// and hooks.

// definition has no cycle, so that every lead ends. Only the application step has a
// timeout that is short enough to be reached.
func definition() *workflow.Definition {
	const ample = time.Hour
	retry := func(most int, delay time.Duration) workflow.Retry {
		return workflow.Retry{MaxAttempts: most, Delay: workflow.Duration(delay), Backoff: 2}
	}
	return &workflow.Definition{
		Name:  "crash",
		Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil).WithRetry(retry(3, 12*time.Millisecond)).WithTimeout(ample),
			workflow.Wait("short", 40*time.Millisecond),
			workflow.Wait("shorter", 25*time.Millisecond),
			workflow.If("keen", `(steps.call.data.score ?? 0) > 5 and metadata.vip == true`),
			workflow.ApplicationNode("app", nil).WithRetry(retry(2, 10*time.Millisecond)).WithTimeout(appTimeout),
			workflow.MessageNode("text", nil).WithRetry(retry(3, 10*time.Millisecond)).WithTimeout(ample),
			workflow.End("won", workflow.Converted),
			workflow.End("lost", workflow.Dropped),
		},
		Edges: []workflow.Edge{
			workflow.On("call", "completed", "short"),
			workflow.On("call", workflow.DefaultLabel, "shorter"),
			workflow.To("short", "keen"),
			workflow.On("keen", "true", "text"),
			workflow.On("keen", "false", "app"),
			workflow.To("shorter", "app"),
			workflow.On("app", "success", "text"),
			workflow.On("app", "failure", "lost"), // and no edge for "unsure"
			workflow.On("text", "success", "won"),
			workflow.On("text", workflow.DefaultLabel, "lost"),
		},
	}
}

// tests are what the conditional nodes of the definition ask.
var tests = map[string]life.Test{"keen": func(l *life.Lead) bool {
	var data struct{ Score int }
	for _, st := range l.Steps {
		if st.NodeID == "call" && !st.Scheduled && len(st.Data) > 0 {
			if err := json.Unmarshal(st.Data, &data); err != nil {
				panic(err)
			}
		}
	}
	return data.Score > 5 && l.Contact.Metadata["vip"] == true
}}

// appTimeout is that of the step that times out.
const appTimeout = 250 * time.Millisecond

// script is what a handler is told to do, and what the provider does next.
type script struct {
	do       string
	outcome  string
	score    int
	schedule []string
	after    time.Duration // until the handler is answered
	callback *callback
}

// callback is an outcome that comes from outside.
type callback struct {
	outcome string
	score   int
	early   bool          // before the handler is answered
	after   time.Duration // after that
	again   bool          // sent twice
	other   bool          // and then with another outcome

	replied bool
	refusal string
}

// rand returns the random numbers of one thing, the same each time they are
// asked for.
func (r *run) rand(parts ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, parts...)
	return rand.New(rand.NewPCG(r.seed, h.Sum64()))
}

// script decides the result of an attempt. It always answers the same for an attempt,
// like a provider that is called twice with one idempotency key.
func (r *run) script(contact, node, message string, attempt int) script {
	rng := r.rand("attempt", contact, node, message, attempt)
	s := script{do: "outcome", score: rng.IntN(11), after: time.Duration(rng.IntN(4)) * time.Millisecond}
	outcomes := map[string][]string{
		"call": {"completed", "completed", "completed", "no_answer"},
		"app":  {"success", "success", "success", "failure", "unsure"},
		"text": {"success", "success", "bounced"},
	}[node]
	if message != "" {
		outcomes = []string{"success", "bounced"}
	}
	pick := func() string { return outcomes[rng.IntN(len(outcomes))] }
	s.outcome = pick()
	callback := func() *callback {
		return &callback{
			outcome: pick(), score: rng.IntN(11), after: time.Duration(rng.IntN(30_000)) * time.Microsecond,
			again: rng.IntN(4) == 0, other: rng.IntN(4) == 0,
		}
	}
	switch n := rng.IntN(100); {
	case n < 18:
		s.do = "error"
	case n < 22:
		s.do = "again"
	case n < 24:
		s.do = "final"
	case n < 27:
		s.do = "panic"
	case n < 31: // it failed, said the handler, and then the call takes place
		s.do, s.callback = "error", callback()
	case n < 62:
		s.do, s.callback = "in flight", callback()
	case n < 66: // the callback overtakes the handler
		s.do, s.callback = "in flight", callback()
		s.callback.early = true
	case n < 70: // and contradicts it
		s.callback = callback()
		s.callback.early = rng.IntN(2) == 0
	case n < 76 && node == "app" && message == "":
		s.do = "in flight" // and nobody calls back
	case n < 80 && node == "app" && message == "":
		s.do = "hang"
	case n < 85:
		s.after = time.Duration(20+rng.IntN(40)) * time.Millisecond
	}
	if message == "" && rng.IntN(4) == 0 && (s.do == "outcome" || s.do == "in flight") {
		for i := range 1 + rng.IntN(2) {
			s.schedule = append(s.schedule, fmt.Sprintf("%s/%d/%d", node, attempt, i))
		}
	}
	return s
}
