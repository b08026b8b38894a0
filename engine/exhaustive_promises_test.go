//go:build !race

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// searchWitness is what the people outside of the engine know: who was called
// for what, and what they were promised.
type searchWitness struct {
	calledHere map[string]bool // by the process that runs, as visit.attempt
	begunHere  map[string]bool // put on record by the process that runs

	removal     bool  // removal was acknowledged
	visit       int32 // the step in flight then; 0 for none
	skip        bool  // with SkipRetries
	skipAttempt int32 // the last attempt begun before that
	skipRun     bool  // whose handler this process had been about to call, or had called
	said        map[int32]string
}

func (s *searchWitness) crashed() { s.calledHere, s.begunHere, s.skipRun = nil, nil, false }

func note(set *map[string]bool, key string) {
	if *set == nil {
		*set = map[string]bool{}
	}
	(*set)[key] = true
}

func searchKey(visit int32, attempt int32) string { return fmt.Sprintf("%d.%d", visit, attempt) }

// entry is the lead as it is on disk.
func (w *searchWorld) entry() (store.Lead, extra) {
	found, err := w.memory.Lead(context.Background(), w.id.Seq())
	if err != nil {
		w.fault("the lead cannot be read: %v", err)
	}
	x, err := decodeExtra(found.EngineState)
	if err != nil {
		w.fault("the lead cannot be read: %v", err)
	}
	return found, x
}

// checkCall is asked when a handler is called.
func (w *searchWorld) checkCall(a *Attempt) {
	r, _ := w.entry()
	visit, attempt := a.StepID.Visit(), int32(a.Number)
	key, s := searchKey(visit, attempt), &w.seen
	switch {
	case s.removal && s.visit != visit:
		w.fault("promise 2: step %d began after removal was acknowledged, with step %d in flight", visit, s.visit)
	case s.skip && (attempt > s.skipAttempt || a.Redelivered && !s.skipRun):
		w.fault("promise 2: attempt %s was made (redelivered: %t) after removal without retries was acknowledged", key, a.Redelivered)
	case r.State.Final():
		w.fault("promise 2: a handler is called for a lead that is %s", r.State)
	case r.Phase != store.PhaseRunning || r.Visit != visit || r.Attempt != attempt:
		w.fault("attempt %s is made and not on record: the lead is at %d.%d, phase %d", key, r.Visit, r.Attempt, r.Phase)
	case s.calledHere[key]:
		w.fault("promise 9: attempt %s is made twice by one process", key)
	case a.Redelivered && s.begunHere[key]:
		w.fault("promise 9: attempt %s is marked as redelivered, and no process ended", key)
	case !s.begunHere[key] && !a.Redelivered:
		w.fault("promise 9: attempt %s was begun by another process, and is made without a mark", key)
	}
	note(&s.calledHere, key)
}

// checkHook is asked when a completion hook is called.
func (w *searchWorld) checkHook(c *HookEvent) {
	r, x := w.entry()
	if r.Phase != store.PhaseHooks || x.Ended == nil || x.Ended.Outcome != c.Step.Outcome || !c.Lead.State.InFlight() {
		w.fault("promise 4: the hook is told %q of a lead that is %s, phase %d", c.Step.Outcome, r.State, r.Phase)
	}
}

// searchMachine is the table that every change is held against.
var searchMachine = newSearchMachine()

// newSearchMachine says which states a lead can come to, by any number of
// events, from each state.
func newSearchMachine() map[lead.State]map[lead.State]bool {
	m, reach := lead.NewMachine(), map[lead.State]map[lead.State]bool{}
	for _, from := range lead.States() {
		reach[from] = map[lead.State]bool{from: true}
		for range lead.States() {
			for at := range maps.Clone(reach[from]) {
				for _, event := range lead.Events() {
					if to, err := m.Fire(at, event); err == nil {
						reach[from][to] = true
					}
				}
			}
		}
	}
	return reach
}

// checkCommit is asked before a batch is written.
func (w *searchWorld) checkCommit(b *store.Batch) {
	active := false
	if len(b.Changes) > 0 {
		active = w.status() == lead.WorkflowActive
	}
	for _, wf := range b.Workflows {
		active = active || wf.Status == lead.WorkflowActive
	}
	now := store.MillisOf(w.now)
	for i := range b.Changes {
		was, is := &b.Changes[i].Before, &b.Changes[i].After
		x, err := decodeExtra(was.EngineState)
		if err != nil {
			w.fault("the lead cannot be read: %v", err)
		}
		begins := is.Phase == store.PhaseRunning && (was.Visit != is.Visit || was.Attempt != is.Attempt)
		pending := was.State == lead.PendingRemoval
		switch {
		case was.State.Final() || !searchMachine[was.State][is.State]:
			w.fault("the lead goes from %s to %s", was.State, is.State)
		case is.Attempt > 2:
			w.fault("attempt %d of two is on record", is.Attempt)
		case begins && is.Deadline <= now:
			w.fault("promise 10: an attempt begins without a deadline")
		case begins && pending && was.Visit != is.Visit:
			w.fault("promise 2: a step is begun while removal is pending")
		case begins && pending && x.Removal.SkipRetries:
			w.fault("promise 2: an attempt is begun while removal without retries is pending")
		case begins && was.Phase == store.PhaseRetrying && was.Due > now:
			w.fault("promise 9: a queued retry is made before its time")
		case begins && was.State == lead.Enrolled && !active:
			w.fault("a step is begun in a workflow that is %s", w.status())
		}
		if begins {
			note(&w.seen.begunHere, searchKey(is.Visit, is.Attempt))
		}
	}
}

// remove asks for removal and holds the answer against the promises.
func (w *searchWorld) remove(options ...RemoveOption) error {
	was, _ := w.entry()
	e := w.eng.stepped.loop.hot[w.id.Seq()]
	underWay := e != nil && e.run != nil
	removal, err := w.eng.Remove(context.Background(), w.wf, w.id, options...)
	is, x := w.entry()
	switch {
	case w.gate.dead:
	case err == nil:
		if was.State.Final() || x.Removal == nil || is.State != lead.PendingRemoval && is.State != lead.Removed {
			w.fault("promise 1: removal of a lead that was %s is acknowledged, and it is %s", was.State, is.State)
		}
		w.waits = append(w.waits, removal)
		if !w.seen.removal {
			w.seen.removal = true
			if removal.State == lead.PendingRemoval {
				w.seen.visit = is.Visit
			}
		}
		if len(options) > 0 && !w.seen.skip {
			w.seen.skip, w.seen.skipAttempt, w.seen.skipRun = true, was.Attempt, underWay
		}
	case !errors.Is(err, lead.ErrLeadFinal) || !errors.Is(err, lead.ErrConflict) || !is.State.Final():
		w.fault("promise 11: removal of a lead that is %s is refused: %v", is.State, err)
	}
	return err
}

// callBack reports an outcome, and holds the answer against the promises.
func (w *searchWorld) callBack(step lead.StepID, out Callback) error {
	_, err := w.eng.CompleteStep(context.Background(), step, out)
	switch {
	case w.gate.dead:
	case err == nil:
		steps := w.steps()
		i := slices.IndexFunc(steps, func(s lead.Step) bool { return s.ID == step })
		if i < 0 || steps[i].Outcome != out.Outcome {
			w.fault("promise 8: the outcome %s of step %d is acknowledged, and not on record", out.Outcome, step.Visit())
		}
		if said := w.seen.said[step.Visit()]; said != "" && said != out.Outcome {
			w.fault("promise 8: step %d has the outcome %s, and %s is acknowledged", step.Visit(), said, out.Outcome)
		}
		if w.seen.said == nil {
			w.seen.said = map[int32]string{}
		}
		w.seen.said[step.Visit()] = out.Outcome
	case !errors.Is(err, lead.ErrConflict):
		w.fault("promise 11: an outcome is refused: %v", err)
	}
	return err
}

// searchSight is what a reader sees of the lead.
type searchSight struct {
	lead  lead.Lead
	steps []lead.Step
	calls []store.Call
}

func (w *searchWorld) steps() []lead.Step {
	found, rows, _, err := w.memory.History(context.Background(), w.id.Seq())
	if err != nil {
		w.fault("the history cannot be read: %v", err)
	}
	steps, err := w.flow.history(&found, rows)
	if err != nil {
		w.fault("the history cannot be read: %v", err)
	}
	return steps
}

func (w *searchWorld) look() searchSight {
	found, x := w.entry()
	return searchSight{w.flow.lead(&found, &x, lead.Contact{}), w.steps(), w.callLog()}
}

func searchText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// checkSince holds what is against what was before an event.
func (w *searchWorld) checkSince(was *searchSight) {
	is := w.look()
	if was.lead.State.Final() && (searchText(was.lead) != searchText(is.lead) || searchText(was.steps) != searchText(is.steps) ||
		searchText(was.calls) != searchText(is.calls)) {
		w.fault("final is not final: %s was\n%s\nand is\n%s", w.id, searchText(was), searchText(is))
	}
	if len(is.steps) < len(was.steps) || len(is.calls) < len(was.calls) {
		w.fault("promise 7: the history has lost something")
		return
	}
	if before, after := was.lead.Removal, is.lead.Removal; before != nil && (after == nil || before.SkipRetries && !after.SkipRetries) {
		w.fault("promise 1: a removal that was on disk is forgotten")
	}
	for i, before := range was.steps {
		after := is.steps[i]
		switch {
		case before.ID != after.ID:
			w.fault("promise 7: step %d has become another", i)
		case !before.ExitedAt.IsZero() && searchText(before) != searchText(after):
			w.fault("promise 8: a step that was over has changed from\n%s\nto\n%s", searchText(before), searchText(after))
		case before.Outcome != "" && before.Outcome != after.Outcome:
			w.fault("promise 8: the outcome of step %d was %s, and is %s", i, before.Outcome, after.Outcome)
		}
	}
	w.checkSight(&is)
}

// checkSight holds what a reader sees, and what memory has, against the
// promises.
func (w *searchWorld) checkSight(is *searchSight) {
	r, x := w.entry()
	due, err := w.memory.Due(context.Background(), store.Key{}, store.MaxMillis, 2)
	if err != nil {
		w.fault("the due leads cannot be read: %v", err)
	}
	s, state := &w.seen, is.lead.State
	if s.removal && (is.lead.Removal == nil || state != lead.PendingRemoval && state != lead.Removed) {
		w.fault("promise 1: removal was acknowledged, and the lead is %s", state)
	}
	if s.skip && state == lead.PendingRemoval && !is.lead.Removal.SkipRetries {
		w.fault("promise 1: that no retry is to be made was acknowledged, and is not on record")
	}
	for _, step := range is.steps {
		if said := s.said[step.ID.Visit()]; said != "" && step.Outcome != said {
			w.fault("promise 8: step %d was told %s, and has %q", step.ID.Visit(), said, step.Outcome)
		}
		if state.Final() && !step.Status.Final() {
			w.fault("promise 5: step %d of a lead that is %s is %s", step.ID.Visit(), state, step.Status)
		}
		if s.visit == step.ID.Visit() && state.Final() && step.Outcome == "" {
			w.fault("promise 7: the step in flight at removal is in the history without an outcome")
		}
	}
	open, begun := 0, 0
	for _, c := range is.calls {
		if c.Status == lead.StepInProgress {
			open++
		}
		begun = max(begun, int(c.Attempt))
	}
	if open > 1 || open == 1 && !state.InFlight() || len(is.calls) != begun {
		w.fault("promise 7: the call log of a lead that is %s has %d entries for %d attempts, %d of them open",
			state, len(is.calls), begun, open)
	}
	for _, removal := range w.waits {
		if closed(removal.Done()) != state.Final() {
			w.fault("promise 4: the lead is %s, and Done of its removal closed: %t", state, closed(removal.Done()))
		}
	}
	if state.Final() {
		if !is.lead.NextActionAt.IsZero() || len(due) > 0 || r.Wake+r.Due+r.Deadline != 0 || len(x.Messages) > 0 || x.Path != nil || x.Sending != nil {
			w.fault("promise 5: a lead that is %s is due", state)
		}
	} else if is.lead.NextActionAt.IsZero() || len(due) != 1 || r.Wake > store.MillisOf(is.lead.NextActionAt) {
		w.fault("promise 10: a lead that is %s is due at %s and taken up at %d", state, is.lead.NextActionAt, r.Wake)
	}
	if w.eng != nil {
		w.checkMemory(&r.Record)
	}
}

// checkMemory holds what the process has in memory against what is on disk.
func (w *searchWorld) checkMemory(r *store.Record) {
	l := w.eng.stepped.loop
	e := l.hot[w.id.Seq()]
	if e != nil && (e.touched || e.inFlight || searchText(e.rec) != searchText(r)) {
		w.fault("memory has what is not on disk:\n%s\n%s", searchText(e.rec), searchText(r))
	}
	runs := 0
	if e != nil && e.run != nil {
		runs = 1
	}
	if l.total.running != runs || r.State.Final() && runs > 0 {
		w.fault("promise 5: %d workers are taken, %d handlers run, and the lead is %s", l.total.running, runs, r.State)
	}
}
