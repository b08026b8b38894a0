package engine_test

import (
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/leadflow-go/leadflow/lead"
)

// This file is what one contact's leads may do, one operation after the other:
// the specification that histories of concurrent clients are held against. It
// is the same table as that of the model test, but for what time and schedules
// are about, and it does not know when the engine does what it does by itself:
// where it may, a state stands for several.

// The operations. Those of the engine itself are known from what its handlers
// saw.
type linearKind int

const (
	linearEnroll   linearKind = iota // → lead
	linearRemove                     // lead, skip, reason → state
	linearComplete                   // lead, visit, outcome → state
	linearGet                        // lead → state, reason
	linearSeen                       // lead → state
	linearHistory                    // lead → outcomes
	linearStart                      // the engine's: a handler is called
	linearReturn                     // the engine's: a handler has returned
)

type linearInput struct {
	kind    linearKind
	contact int
	lead    int // the contact's leads are numbered as they were enrolled
	visit   int // of a step, from 1
	attempt int
	skip    bool
	reason  string
	outcome string // of a callback or a handler: see also inFlight and failed
}

// What a handler may come to besides an outcome.
const (
	linearInFlight = "in flight"
	linearFailed   = "failed"
)

// linearOutput is what was answered. Not all of it is known for every kind.
type linearOutput struct {
	refused  error // the class of the refusal; a reason of a conflict where it is known
	lead     int   // enrolled, or live already; 0 where it is not known
	state    lead.State
	reason   string
	outcomes [linearVisits]string // of each step that was begun; inFlight while it has none
}

// linearLeads is how many leads a contact can have in a history, and
// linearVisits how many steps with a handler a lead has: two.
const (
	linearLeads  = 6
	linearVisits = 2
	linearTries  = 2 // attempts at a step
)

// linearFlow is what the workflow of a history is like.
type linearFlow struct {
	hooks   bool // a completion hook runs after each step
	timeout bool // a step may pass its deadline at any time
}

type linearPhase int8

const (
	linearResting linearPhase = iota
	linearRunning
	linearAwaited
	linearRetrying
	linearHooking
)

// linearLead is one lead. All of it can be compared.
type linearLead struct {
	state    lead.State
	phase    linearPhase
	visit    int8
	attempt  int8
	called   string // the outcome of a callback that was faster than the handler
	skip     bool
	reason   string
	outcomes [linearVisits]string
}

// linearState is all leads of one contact, those that are not there yet being
// zero.
type linearState [linearLeads]linearLead

// model returns the specification.
func (f linearFlow) model() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			parts := map[int][]porcupine.Operation{}
			for _, op := range history {
				c := op.Input.(linearInput).contact
				parts[c] = append(parts[c], op)
			}
			var out [][]porcupine.Operation
			for _, part := range parts {
				out = append(out, part)
			}
			return out
		},
		Init: func() []any { return []any{linearState{}} },
		Step: func(state, in, out any) []any {
			var next []any
			for _, s := range f.reachable(state.(linearState)) {
				if f.step(&s, in.(linearInput), out.(linearOutput)) {
					next = append(next, s)
				}
			}
			return next
		},
		DescribeOperation: func(in, out any) string { return describeLinear(in.(linearInput), out.(linearOutput)) },
		DescribeState: func(state any) string {
			s := state.(linearState)
			text := ""
			for i, l := range s {
				if l.state != 0 {
					text += fmt.Sprintf("[lead %d %s %+v]", i+1, l.state, l)
				}
			}
			return text
		},
	}
	return m.ToModel()
}

// reachable returns the states that the engine may have come to by itself.
func (f linearFlow) reachable(s linearState) []linearState {
	out := []linearState{s}
	for i := 0; i < len(out); i++ {
		for n := range out[i] {
			for _, l := range f.alone(out[i][n]) {
				next := out[i]
				next[n] = l
				if !slices.Contains(out, next) {
					out = append(out, next)
				}
			}
		}
	}
	return out
}

// alone returns what a lead may become although nobody asks for it.
func (f linearFlow) alone(l linearLead) []linearLead {
	switch {
	case l.phase == linearHooking:
		l.settle()
		return []linearLead{l}
	case f.timeout && (l.phase == linearRunning || l.phase == linearAwaited):
		if l.called != "" {
			f.ends(&l, l.called)
		} else {
			f.ends(&l, linearFailed)
		}
		return []linearLead{l}
	}
	return nil
}

// ends gives the step in flight its outcome.
func (f linearFlow) ends(l *linearLead, outcome string) {
	l.outcomes[l.visit-1], l.called = outcome, ""
	l.phase = linearHooking
	if !f.hooks {
		l.settle()
	}
}

// settle is the table's complete.
func (l *linearLead) settle() {
	l.phase, l.attempt = linearResting, 0
	switch {
	case l.state == lead.PendingRemoval:
		l.state = lead.Removed
	case l.outcomes[l.visit-1] == "dnp":
		l.state = lead.Completed // where the edge of dnp leads
	default:
		l.state = lead.Enrolled
	}
}

// step reports whether the operation may have had this answer in the state, and
// makes it the state after.
func (f linearFlow) step(s *linearState, in linearInput, out linearOutput) bool {
	if in.kind == linearEnroll {
		return s.enroll(out)
	}
	l := &s[in.lead-1]
	if l.state == 0 {
		return false
	}
	switch in.kind {
	case linearRemove:
		return f.remove(l, in, out)
	case linearComplete:
		return f.complete(l, in, out)
	case linearGet:
		return out.state == l.state && out.reason == l.reason
	case linearSeen:
		return out.state == l.state
	case linearHistory:
		want := l.outcomes
		if l.state.InFlight() && l.phase != linearHooking {
			if want[l.visit-1] = linearInFlight; l.called != "" {
				want[l.visit-1] = l.called
			}
		}
		return out.outcomes == want
	case linearStart:
		switch {
		case l.phase == linearResting && l.state == lead.Enrolled && in.visit == int(l.visit)+1 && in.attempt == 1:
			l.state, l.visit = lead.InStep, l.visit+1
		case l.phase == linearRetrying && in.visit == int(l.visit) && in.attempt == int(l.attempt)+1:
		default:
			return false
		}
		l.phase, l.attempt = linearRunning, int8(in.attempt)
	case linearReturn:
		if l.phase != linearRunning || in.visit != int(l.visit) || in.attempt != int(l.attempt) {
			return true // late: it changes nothing
		}
		switch {
		case l.called != "":
			f.ends(l, l.called)
		case in.outcome == linearInFlight:
			l.phase = linearAwaited
		case in.outcome == linearFailed && in.attempt < linearTries && !(l.state == lead.PendingRemoval && l.skip):
			l.phase = linearRetrying
		default:
			f.ends(l, in.outcome)
		}
	}
	return true
}

func (s *linearState) enroll(out linearOutput) bool {
	live, count := 0, 0
	for i, l := range s {
		if l.state != 0 {
			count++
		}
		if l.state != 0 && !l.state.Final() {
			live = i + 1
		}
	}
	if out.refused != nil {
		return live != 0 && (out.lead == 0 || out.lead == live)
	}
	if live != 0 || out.lead != count+1 {
		return false
	}
	s[count] = linearLead{state: lead.Enrolled}
	return true
}

func (f linearFlow) remove(l *linearLead, in linearInput, out linearOutput) bool {
	switch {
	case l.state.Final():
		return (out.refused == lead.ErrLeadFinal || out.refused == lead.ErrConflict) && (out.state == 0 || out.state == l.state)
	case out.refused != nil:
		return false
	case l.state == lead.Enrolled:
		l.state, l.reason = lead.Removed, in.reason
	case l.state == lead.InStep:
		l.state, l.reason, l.skip = lead.PendingRemoval, in.reason, in.skip
	default:
		l.skip = l.skip || in.skip
	}
	if l.phase == linearRetrying && l.skip {
		f.ends(l, linearFailed)
	}
	return out.state == 0 || out.state == l.state
}

func (f linearFlow) complete(l *linearLead, in linearInput, out linearOutput) bool {
	refused := func(reason error) bool { return out.refused == reason || out.refused == lead.ErrConflict }
	answered := func(has string) bool {
		if has != in.outcome {
			return refused(lead.ErrStepFinished)
		}
		return out.refused == nil && out.state == l.state
	}
	switch {
	case in.visit > int(l.visit):
		return false // nobody knows of it before it has begun
	case in.visit < int(l.visit) || l.phase == linearResting || l.phase == linearHooking:
		return answered(l.outcomes[in.visit-1])
	case l.called != "":
		return answered(l.called)
	case out.refused != nil:
		return false
	case l.phase == linearRunning:
		l.called = in.outcome
	default:
		f.ends(l, in.outcome)
	}
	return out.state == l.state
}

func describeLinear(in linearInput, out linearOutput) string {
	what := [...]string{"enroll", "remove", "complete", "get", "see", "history", "start", "return"}[in.kind]
	text := fmt.Sprintf("%s lead %d", what, in.lead)
	if in.visit > 0 {
		text += fmt.Sprintf(" step %d/%d %s", in.visit, in.attempt, in.outcome)
	}
	if in.reason != "" {
		text += fmt.Sprintf(" for %s, skip %t", in.reason, in.skip)
	}
	switch {
	case out.refused != nil:
		return text + fmt.Sprintf(" → %v (%s, lead %d)", out.refused, out.state, out.lead)
	case in.kind == linearHistory:
		return text + fmt.Sprintf(" → %q", out.outcomes)
	case in.kind == linearEnroll:
		return text + fmt.Sprintf(" → lead %d", out.lead)
	case out.state != 0:
		return text + fmt.Sprintf(" → %s %s", out.state, out.reason)
	}
	return text
}
