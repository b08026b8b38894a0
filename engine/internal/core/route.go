package core

import (
	"strconv"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// circlePause is the time of one turn for a lead that goes through a cycle of nodes
// without a step or a wait.
const circlePause = time.Minute

// Enroll takes a new lead to the entry of its workflow. View.Rec.Seq must be set.
type Enroll struct{ Barred []Barred }

func (e Enroll) apply(t *Turn, v *View) error {
	v.Rec.Workflow, v.Rec.Version, v.Rec.State = t.Flow.Row.Seq, 1, lead.Enrolled
	if t.Flow.remembersSteps() {
		v.Notes.Last = map[int32]int64{}
	}
	v.Notes.Barred = e.Barred
	if t.Flow.Graph.AnyHours() && t.Person != nil {
		v.Notes.Zones, _ = ZonesOf(t.Flow, t.Person)
	}
	t.Stats.Enrolled++
	return t.enter(v, t.Flow.Graph.Entry())
}

// enter takes a lead into a node, and on through conditions and waits that are over,
// until it stops: at an action, at a wait, at an expression that cannot be evaluated
// here, or at a terminal node.
func (t *Turn) enter(v *View, node int32) error {
	passed := v.Notes.Passed
	v.Notes.Passed = 0
	for {
		r := &v.Rec
		if r.Visits >= lead.MaxVisits {
			return t.finish(v, lead.OutcomeStepLimit)
		}
		r.Visits++
		r.Visit, r.Node, r.Phase = r.Visits, node, store.PhaseWaiting
		r.Entered, r.Due, r.Started, r.Deadline, r.Attempt = t.Now, t.Now, 0, 0, 0
		v.Notes.RateKey = ""
		n := t.Flow.Graph.Node(node)
		switch {
		case n.Type.Action():
			// A lead that comes from a step keeps its Wake, so that the store need not move
			// its index entry. But after a cycle it gets a new one, or others would wait
			// behind it for ever.
			if r.Wake == 0 || r.Wake > t.Now || int(r.Visits) > t.Flow.Graph.Len() {
				r.Wake = t.Now
			}
			v.Notes.Signals = nil
			if t.Flow.Graph.EvaluatesRateKey(node) {
				fact, ok := t.answer(v)
				v.Notes.Ask, v.Notes.RateKey = !ok, fact.RateKey
			}
			return nil
		case n.Type.Terminal():
			if err := t.pastStep(v, lead.StepCompleted, string(n.Type), Detail{}); err != nil {
				return err
			}
			return t.finish(v, string(n.Type))
		}
		fact, ok := t.answer(v)
		if !ok {
			v.Notes.Ask, v.Notes.Passed = true, passed
			r.Wake = t.Now
			return nil
		}
		var err error
		if node, err = t.leave(v, fact, passed); err != nil || node == restHere {
			return err
		}
		passed++
	}
}

// restHere is what leave returns for a lead that goes no further.
const restHere = -1

// leave takes a lead on from a time or a conditional node, by the result of its
// expression, and returns the next node, or restHere.
func (t *Turn) leave(v *View, fact Reply, passed int) (next int32, err error) {
	if t.Flow.Graph.Node(v.Rec.Node).Type == workflow.Time {
		return t.wait(v, fact, passed)
	}
	status := lead.StepCompleted
	if fact.Failed != "" {
		status = lead.StepFailed // a condition that cannot be evaluated is false; the history says why
	}
	outcome := strconv.FormatBool(fact.Yes)
	node := v.Rec.Node
	if t.Flow.Graph.Node(node).Type == workflow.Split {
		outcome = t.Flow.Graph.Split(node, v.Rec.Seq)
	}
	if err := t.pastStep(v, status, outcome, Detail{Error: fact.Failed}); err != nil {
		return restHere, err
	}
	next, ok := t.Flow.Graph.Next(node, outcome)
	if !ok {
		return restHere, t.finish(v, lead.OutcomeNoRoute)
	}
	return next, nil
}

// wait makes a lead wait at a time node, unless the wait is over already.
func (t *Turn) wait(v *View, fact Reply, passed int) (next int32, err error) {
	r := &v.Rec
	if fact.Failed != "" {
		// The end of the wait is unknown, and now may be a bad time to call somebody.
		if err := t.pastStep(v, lead.StepFailed, "failed", Detail{Error: fact.Failed}); err != nil {
			return restHere, err
		}
		return restHere, t.finish(v, lead.OutcomeNoRoute)
	}
	r.Due = fact.Until
	if passed > t.Flow.Graph.Len() {
		r.Due = max(r.Due, t.Now.Add(circlePause))
	}
	if s := v.keptSignal(t.Flow); s != nil {
		v.Notes.Signals = nil
		return t.endWait(v, workflow.SignalOutcome, s.Data)
	}
	v.Notes.Signals = nil
	if r.Due > t.Now {
		r.Wake = v.nextDue()
		return restHere, nil
	}
	return t.endWait(v, workflow.TimeoutOutcome, nil)
}

// endWait records that the lead's wait is over, and returns the next node.
func (t *Turn) endWait(v *View, outcome string, data []byte) (next int32, err error) {
	node := v.Rec.Node
	if t.Flow.Graph.Awaits(node) == "" {
		outcome = ""
	}
	if err := t.pastStep(v, lead.StepCompleted, outcome, Detail{Data: data}); err != nil {
		return restHere, err
	}
	// Validation ensures that there is one.
	if outcome == "" {
		next, _ = t.Flow.Graph.After(node)
	} else {
		next, _ = t.Flow.Graph.Next(node, outcome)
	}
	return next, nil
}

// pass takes a lead on from a wait that is over.
func (t *Turn) pass(v *View) error { return t.passWith(v, workflow.TimeoutOutcome, nil) }

func (t *Turn) passWith(v *View, outcome string, data []byte) error {
	node, err := t.endWait(v, outcome, data)
	if err != nil {
		return err
	}
	return t.enter(v, node)
}

// Answered gives a lead that waits at an expression its result.
type Answered struct {
	Visit int32 // the visit for which it was evaluated
	Fact  Reply
	// Last, if not nil, becomes View.Notes.Last of a lead that has none.
	Last map[int32]int64
}

func (a Answered) apply(t *Turn, v *View) error {
	if v.Rec.State != lead.Enrolled || !v.Notes.Ask || v.Rec.Visit != a.Visit {
		return ErrNotNow
	}
	passed := v.Notes.Passed
	v.Notes.Ask, v.Notes.Passed, v.Rest = false, 0, 0
	if v.Notes.Last == nil {
		v.Notes.Last = a.Last
	}
	if t.Flow.Graph.Node(v.Rec.Node).Type.Action() {
		v.Notes.RateKey = a.Fact.RateKey
		return nil
	}
	next, err := t.leave(v, a.Fact, passed)
	if err != nil || next == restHere {
		return err
	}
	v.Notes.Passed = passed + 1
	return t.enter(v, next)
}

// finish completes a lead.
func (t *Turn) finish(v *View, outcome string) error {
	if err := t.fire(v, lead.EventFinish); err != nil {
		return err
	}
	v.Rec.Outcome = outcome
	t.Stats.Completed++
	return t.over(v)
}

// over cancels the scheduled messages of a final lead, and clears its notes and timers
// (promise 5).
func (t *Turn) over(v *View) error {
	for _, m := range v.Notes.Messages {
		err := t.cancelStep(v, store.Step{
			Kind: store.StepMessage, Visit: m.Visit, Node: m.Node, Entered: m.Entered, Due: m.Due,
		}, m.Data)
		if err != nil {
			return err
		}
	}
	v.Notes = Notes{Removal: v.Notes.Removal}
	r := &v.Rec
	r.Phase = store.PhaseEnded
	r.Wake, r.Due, r.Deadline, r.Started, r.Attempt = 0, 0, 0, 0, 0
	return nil
}
