package linear

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// This file asks the specification what the leads of one contact may do, one operation
// after the other; histories of concurrent clients are compared with that. It is not
// known when the engine does what it does by itself, so a state may stand for several.

// The operations. Those of the engine itself are known from what its handlers
// saw.
type kind int

const (
	opEnroll   kind = iota // → lead
	opRemove               // lead, skip, reason → state
	opComplete             // lead, visit, outcome → state
	opGet                  // lead → state, reason, held
	opSee                  // lead → state
	opHistory              // lead → outcomes

	opSuppress      // reason, channel → suppression, fresh, states
	opLift          // suppression
	opHold          // lead
	opRelease       // lead
	opRemoveContact // skip, reason → states

	opStart  // the engine's: a handler is called
	opReturn // the engine's: a handler has returned
)

// reads reports whether the operation changes nothing.
func (k kind) reads() bool { return k == opGet || k == opSee || k == opHistory }

type input struct {
	kind    kind
	contact int
	lead    int // the contact's leads are numbered as they were enrolled
	visit   int // of a step, from 1
	attempt int
	skip    bool
	reason  string
	outcome string // of a callback or a handler: see also inFlight and failed
	channel workflow.NodeType
	sup     int // those of the contact for the channel are numbered as they were added
}

// What a handler may come to besides an outcome.
const (
	inFlight = "in flight"
	failed   = "failed"
)

// output is what was answered. Not all of it is known for every kind.
type output struct {
	refused  error // the class of the refusal; a reason of a conflict where it is known
	lead     int   // enrolled, or live already; 0 where it is not known
	state    lead.State
	reason   string
	outcomes outcomes
	held     bool
	sup      int
	fresh    bool   // the suppression
	states   states // of the leads that are named
}

// states are those of leads; 0 for one that is not named.
type states [maxLeads]lead.State

func statesOf(leads []*life.Lead) (out states) {
	for _, l := range leads {
		out[l.Number] = l.State
	}
	return out
}

// outcomes are those of each step that was begun; inFlight while it has none.
type outcomes [visits]string

// maxLeads is how many leads a contact can have in a history, and visits how many
// steps with a handler a lead has.
const (
	maxLeads = 6
	visits   = 2
	// maxSuppressions is how many suppressions a contact can have.
	maxSuppressions = 4
	tries           = 2 // attempts at a step
)

// stepNodes are the nodes with a handler.
var stepNodes = [visits]string{"first", "second"}

func visitOf(node string) int { return slices.Index(stepNodes[:], node) + 1 }

// setting is what the workflow of a history is like.
type setting struct {
	hooks   bool // a completion hook runs after each step
	timeout bool // a step may pass its deadline at any time
}

// patience is how far the time may be ahead of the specification's: longer than a
// history takes, and shorter than any wait that does not end within one.
const patience = time.Minute

// checker has the states of one contact's leads. Equal states are the same pointer, so
// that they can be compared by ==.
type checker struct {
	begin *state

	mu     sync.Mutex // guards what follows, because porcupine checks contacts side by side
	states map[string]*state
}

// state is a state, which does not change.
type state struct {
	world *life.World
	by    time.Time
	once  sync.Once
	after []*state // the states that the engine may have come to by itself
}

func newChecker(t *testing.T, s setting) *checker {
	t.Helper()
	f, err := life.NewFlow(s.definition(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &life.World{Now: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC), HookTimeout: time.Hour, Flows: []*life.Flow{f}}
	if s.hooks {
		w.Hooks = []string{"none"}
	}
	if err := w.Activate(f); err != nil {
		t.Fatal(err)
	}
	c := &checker{states: map[string]*state{}}
	c.begin = c.state(w)
	return c
}

func (c *checker) state(w *life.World) *state {
	key := w.Key()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.states[key]
	if s == nil {
		s = &state{world: w, by: w.Now.Add(patience)}
		c.states[key] = s
	}
	return s
}

// reachable returns the state and those that the engine may have come to by
// itself.
func (c *checker) reachable(s *state) []*state {
	s.once.Do(func() {
		s.after = []*state{s}
		for i := 0; i < len(s.after); i++ {
			for n := range s.after[i].world.Leads {
				w := s.after[i].world.Clone()
				l := w.Leads[n]
				switch {
				case w.HookDue(l) != "":
					w.HookCalled(l)
					w.HookAnswered(l, "")
				case !w.Alone(l, s.by):
					continue
				}
				if next := c.state(w); !slices.Contains(s.after, next) {
					s.after = append(s.after, next)
				}
			}
		}
	})
	return s.after
}

// model returns the specification as porcupine takes it.
func (c *checker) model() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			parts := map[int][]porcupine.Operation{}
			for _, op := range history {
				c := op.Input.(input).contact
				parts[c] = append(parts[c], op)
			}
			var out [][]porcupine.Operation
			for _, part := range parts {
				out = append(out, part)
			}
			return out
		},
		Init: func() []any { return []any{c.begin} },
		Step: func(from, in, out any) []any {
			var next []any
			for _, s := range c.reachable(from.(*state)) {
				w := s.world
				if !in.(input).kind.reads() {
					w = w.Clone()
				}
				switch {
				case !allows(w, s.by, in.(input), out.(output)):
				case w == s.world:
					next = append(next, s)
				default:
					next = append(next, c.state(w))
				}
			}
			return next
		},
		DescribeOperation: func(in, out any) string { return describe(in.(input), out.(output)) },
		DescribeState:     func(s any) string { return s.(*state).world.Key() },
	}
	return m.ToModel()
}

// allows reports whether the operation may have had this answer in the world, and
// applies it to the world.
func allows(w *life.World, by time.Time, in input, out output) bool {
	switch in.kind {
	case opEnroll:
		return enroll(w, in, out)
	case opSuppress:
		is, fresh, _, leads := w.Suppress(life.Suppression{PhoneNumber: phone(in.contact), Channel: in.channel, Reason: in.reason}, false)
		return out.refused == nil && out.sup <= len(of(w, in.channel)) && of(w, in.channel)[out.sup-1] == is && out.fresh == fresh && out.states == statesOf(leads)
	case opLift:
		list := of(w, in.channel)
		return in.sup <= len(list) && refused(out, w.Lift(list[in.sup-1], "", ""))
	case opRemoveContact:
		var live []*life.Lead
		for _, l := range w.Leads {
			if !l.State.Final() {
				live = append(live, l)
				w.Remove(l, lead.Removal{Reason: in.reason, SkipRetries: in.skip})
			}
		}
		return out.refused == nil && out.states == statesOf(live)
	}
	if in.lead > len(w.Leads) {
		return false
	}
	l := w.Leads[in.lead-1]
	switch in.kind {
	case opRemove:
		err := w.Remove(l, lead.Removal{Reason: in.reason, SkipRetries: in.skip})
		return refused(out, err) && (out.state == 0 || out.state == l.State)
	case opComplete:
		st := visited(l, in.visit)
		if st == nil {
			return false // nobody knows of it before it has begun
		}
		err := w.Complete(l, st, life.Callback{Outcome: in.outcome})
		return refused(out, err) && (err != nil || out.state == l.State)
	case opHold:
		return refused(out, w.Hold(l, lead.Hold{}))
	case opRelease:
		return refused(out, w.Release(l))
	case opGet:
		reason, v := "", w.View(l)
		if v.Removal != nil {
			reason = v.Removal.Reason
		}
		return out.state == l.State && out.reason == reason && out.held == (v.Hold != nil)
	case opSee:
		return out.state == l.State
	case opHistory:
		return out.outcomes == outcomesOf(w.History(l))
	case opStart:
		if !w.MayBegin(l, by) {
			return false
		}
		w.Begin(l, by)
		return l.At == visited(l, in.visit) && l.Begun().Number == in.attempt
	case opReturn:
		if l.At == visited(l, in.visit) && l.Begun().Number == in.attempt { // else it is late
			w.Answered(l, answer(in.outcome))
		}
	}
	return true
}

// of returns the suppressions for a channel, in the order in which they were added: one is
// over before the next is.
func of(w *life.World, channel workflow.NodeType) (list []*life.Suppression) {
	for _, s := range w.Suppressions {
		if s.Channel == channel {
			list = append(list, s)
		}
	}
	return list
}

// refused reports whether the answer is that of the specification. Over HTTP
// the reason of a conflict is not known.
func refused(out output, err error) bool {
	return out.refused == err || err != nil && out.refused == lead.ErrConflict
}

func enroll(w *life.World, in input, out output) bool {
	c := lead.Contact{PhoneNumber: phone(in.contact)}
	if w.Suppressed(w.Flows[0], c) { // which comes before a live lead
		return refused(out, lead.ErrSuppressed)
	}
	fresh, live := w.Enroll(w.Flows[0], c)
	if live != nil {
		return refused(out, lead.ErrContactLive) && (out.lead == 0 || out.lead == live.Number+1)
	}
	return out.refused == nil && out.lead == fresh.Number+1
}

// visited is the lead's step of a visit that has begun, or nil.
func visited(l *life.Lead, visit int) *life.Step {
	for _, st := range l.Steps {
		if visitOf(st.NodeID) == visit && len(st.Attempts) > 0 {
			return st
		}
	}
	return nil
}

func outcomesOf(steps []lead.Step) (out outcomes) {
	for _, s := range steps {
		if len(s.Attempts) > 0 {
			out[visitOf(s.NodeID)-1] = cmp.Or(s.Outcome, inFlight)
		}
	}
	return out
}

// answer is what a handler returns that comes to the outcome.
func answer(outcome string) life.Answer {
	switch outcome {
	case inFlight:
		return life.Answer{InFlight: true}
	case failed:
		return life.Answer{Err: "busy"}
	}
	return life.Answer{Outcome: outcome}
}

func describe(in input, out output) string {
	what := [...]string{"enroll", "remove", "complete", "get", "see", "history",
		"suppress", "lift", "hold", "release", "remove contact", "start", "return"}[in.kind]
	text := fmt.Sprintf("%s lead %d", what, in.lead)
	if in.kind == opSuppress || in.kind == opLift {
		text = fmt.Sprintf("%s %d %s", what, in.sup, in.channel)
	}
	if in.visit > 0 {
		text += fmt.Sprintf(" step %d/%d %s", in.visit, in.attempt, in.outcome)
	}
	if in.reason != "" {
		text += fmt.Sprintf(" for %s, skip %t", in.reason, in.skip)
	}
	switch {
	case out.refused != nil:
		return text + fmt.Sprintf(" → %v (%s, lead %d)", out.refused, out.state, out.lead)
	case in.kind == opSuppress:
		return text + fmt.Sprintf(" → suppression %d, fresh %t, %v", out.sup, out.fresh, out.states)
	case in.kind == opRemoveContact:
		return text + fmt.Sprintf(" → %v", out.states)
	case in.kind == opHistory:
		return text + fmt.Sprintf(" → %q", out.outcomes)
	case in.kind == opEnroll:
		return text + fmt.Sprintf(" → lead %d", out.lead)
	case out.state != 0:
		return text + fmt.Sprintf(" → %s %s, held %t", out.state, out.reason, out.held)
	}
	return text
}
