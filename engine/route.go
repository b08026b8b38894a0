package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file is the way of a lead through the graph, and its two ends.

// circlePause is how long a lead rests that would go round in a circle without
// a step or a wait.
const circlePause = time.Minute

// enter takes a lead into a node, and on through conditions and waits that are
// over, until it rests: at an action, at a wait, or at an end.
func (l *loop) enter(e *entry, f *flow, node int32) error {
	r := &e.rec
	l.touch(e)
	for passed := 0; ; passed++ {
		if r.Visits >= lead.MaxVisits {
			return l.finish(e, lead.OutcomeStepLimit)
		}
		r.Visits++
		r.Visit, r.Node, r.Phase = r.Visits, node, store.PhaseWaiting
		r.Entered, r.Due, r.Started, r.Deadline, r.Attempt = l.now, l.now, 0, 0, 0
		n := f.graph.Node(node)
		switch {
		case n.Type.Action():
			// A lead that comes from a step keeps the Wake it had, so that the store
			// moves no index entry for it; but not one that has been round in a circle,
			// or others would wait behind it for ever.
			if r.Wake == 0 || r.Wake > l.now || int(r.Visits) > f.graph.Len() {
				r.Wake = l.now
			}
			return l.waited(e, f)
		case n.Type.Terminal():
			if err := l.pastStep(e, lead.StepCompleted, string(n.Type), ""); err != nil {
				return err
			}
			return l.finish(e, string(n.Type))
		case n.Type == workflow.Time:
			due, err := l.waitUntil(e, f)
			if storeFailed(err) {
				return err
			}
			if err != nil {
				// Nobody can say when; going on at once might be at a bad time.
				l.warnRoute(e, f, err)
				if err := l.pastStep(e, lead.StepFailed, "failed", err.Error()); err != nil {
					return err
				}
				return l.finish(e, lead.OutcomeNoRoute)
			}
			if passed > f.graph.Len() {
				due = max(due, l.now.Add(circlePause))
			}
			if due > l.now {
				r.Due = due
				r.Wake = e.wakeAfterWait()
				if r.Wake <= l.now { // a message is due, before the wait is over
					return l.waited(e, f)
				}
				return nil
			}
			r.Due = due
			if err := l.pastStep(e, lead.StepCompleted, "", ""); err != nil {
				return err
			}
			node, _ = f.graph.After(node) // validation sees to it that there is one
		default:
			yes, err := l.test(e, f)
			if storeFailed(err) {
				return err
			}
			status, text := lead.StepCompleted, ""
			if err != nil {
				// A condition that cannot be told is not met; the history says why.
				l.warnRoute(e, f, err)
				yes, status, text = false, lead.StepFailed, err.Error()
			}
			outcome := fmt.Sprint(yes)
			if err := l.pastStep(e, status, outcome, text); err != nil {
				return err
			}
			next, ok := f.graph.Next(node, outcome)
			if !ok {
				return l.finish(e, lead.OutcomeNoRoute)
			}
			node = next
		}
	}
}

// pass takes a lead on whose wait is over.
func (l *loop) pass(e *entry, f *flow) error {
	node, _ := f.graph.After(e.rec.Node)
	if err := l.pastStep(e, lead.StepCompleted, "", ""); err != nil {
		return err
	}
	return l.enter(e, f, node)
}

// pastStep records the current step, one without attempts, as over.
func (l *loop) pastStep(e *entry, status lead.StepStatus, outcome, failed string) error {
	r := &e.rec
	return l.record(e, store.Step{
		Lead: r.Seq, Visit: r.Visit, Node: r.Node, Status: status,
		Entered: r.Entered, Due: r.Due, Exited: l.now, Outcome: outcome,
	}, detail{Error: failed})
}

func (l *loop) warnRoute(e *entry, f *flow, err error) {
	l.eng.log.Warn("leadflow: an expression failed",
		slog.String("workflow", f.row.ID.String()), slog.String("node", f.graph.Node(e.rec.Node).ID),
		slog.Int64("lead_seq", e.rec.Seq), slog.Any("error", err))
}

func (l *loop) waitUntil(e *entry, f *flow) (store.Millis, error) {
	env, err := l.env(e, f)
	if err != nil {
		return 0, err
	}
	until, err := f.graph.Until(e.rec.Node, env, l.now.Time())
	if err != nil {
		return 0, err
	}
	return roundUp(until), nil
}

// roundUp returns the first whole millisecond at or after t, so that no wait
// ends early, within what a store holds.
func roundUp(t time.Time) store.Millis {
	ms := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	return min(max(store.Millis(ms), 1), store.MaxMillis-1)
}

func (l *loop) test(e *entry, f *flow) (bool, error) {
	env, err := l.env(e, f)
	if err != nil {
		return false, err
	}
	return f.graph.Test(e.rec.Node, env)
}

// env is what the expression of the lead's node may read. Only what it does
// read is looked up.
func (l *loop) env(e *entry, f *flow) (*workflow.Env, error) {
	env := &workflow.Env{Now: l.now.Time()}
	node := e.rec.Node
	if f.graph.NeedsContact(node) {
		if e.contact == nil {
			found, err := l.eng.readContacts([]int64{e.rec.Seq})
			if err != nil {
				return nil, &storeError{err}
			}
			if e.contact = found[e.rec.Seq]; e.contact == nil {
				return nil, &storeError{store.ErrNotFound}
			}
		}
		env.Contact = e.contact.Person
	}
	if f.graph.NeedsSteps(node) {
		var steps []store.Step
		if e.rec.LastStep != 0 {
			_, past, _, err := l.eng.store.History(context.Background(), e.rec.Seq)
			if err != nil {
				return nil, &storeError{err}
			}
			steps = past
		}
		env.Steps = map[string]workflow.StepResult{}
		for _, list := range [][]store.Step{steps, e.steps} {
			for i := range list {
				if err := addStepResult(env.Steps, f, &list[i]); err != nil {
					return nil, &storeError{err}
				}
			}
		}
	}
	return env, nil
}

// addStepResult makes a finished step known to expressions; of several visits
// to a node the last counts.
func addStepResult(results map[string]workflow.StepResult, f *flow, s *store.Step) error {
	if s.Kind != store.StepVisit || s.Status == lead.StepCancelled {
		return nil
	}
	d, err := decodeDetail(s.Detail)
	if err != nil {
		return err
	}
	res := workflow.StepResult{
		Outcome: s.Outcome, Status: s.Status.String(), Attempts: int(s.Attempts), CallID: d.CallID, Error: d.Error,
		EnteredAt: s.Entered.Time(), ExitedAt: s.Exited.Time(),
	}
	if len(d.Data) > 0 {
		if err := json.Unmarshal(d.Data, &res.Data); err != nil {
			return fmt.Errorf("engine: decode step data: %w", err)
		}
	}
	results[f.graph.Node(s.Node).ID] = res
	return nil
}

// finish completes a lead.
func (l *loop) finish(e *entry, outcome string) error {
	if err := l.fire(e, lead.EventFinish); err != nil {
		return err
	}
	e.rec.Outcome = outcome
	l.stats.LeadsCompleted++
	return l.end(e)
}

// detach ends a lead that the machine has brought to removed: what it waited
// for is cancelled, each on record.
func (l *loop) detach(e *entry) error {
	r := &e.rec
	if r.Phase == store.PhaseWaiting {
		err := l.cancelStep(e, store.Step{Visit: r.Visit, Node: r.Node, Entered: r.Entered, Due: r.Due}, nil)
		if err != nil {
			return err
		}
	}
	l.stats.LeadsRemoved++
	return l.end(e)
}

// end leaves nothing of a final lead behind (promise 5).
func (l *loop) end(e *entry) error {
	r := &e.rec
	for _, m := range e.extra.Messages {
		err := l.cancelStep(e, store.Step{
			Kind: store.StepMessage, Visit: m.Visit, Node: m.Node, Entered: m.Entered, Due: m.Due,
		}, m.Data)
		if err != nil {
			return err
		}
	}
	e.extra = extra{Removal: e.extra.Removal}
	r.Phase = store.PhaseEnded
	r.Wake, r.Due, r.Deadline, r.Started, r.Attempt = 0, 0, 0, 0, 0
	return nil
}

// cancelStep puts on record that a step will not take place.
func (l *loop) cancelStep(e *entry, s store.Step, data json.RawMessage) error {
	s.Lead, s.Status, s.Exited = e.rec.Seq, lead.StepCancelled, l.now
	l.stats.TimersCancelled++
	return l.record(e, s, detail{Data: data})
}

// cancelNext puts on record that the lead, being removed, does not go on to the
// node that its last outcome leads to.
func (l *loop) cancelNext(e *entry, f *flow, node int32) error {
	r := &e.rec
	if r.Visits >= lead.MaxVisits {
		return nil
	}
	r.Visits++
	due := l.now
	if f.graph.Node(node).Type == workflow.Time && !f.graph.NeedsContact(node) && !f.graph.NeedsSteps(node) {
		// The wait that would have begun now. One that hangs on the lead is not
		// worked out any more.
		if until, err := f.graph.Until(node, &workflow.Env{Now: l.now.Time()}, l.now.Time()); err == nil {
			due = roundUp(until)
		}
	}
	return l.cancelStep(e, store.Step{Visit: r.Visits, Node: node, Entered: l.now, Due: due}, nil)
}
