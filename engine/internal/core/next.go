package core

import (
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Need is what a lead needs next.
type Need struct {
	Kind   Kind
	Reason Reason
	// At, with Until and Closed, is when to ask again; with Worker it is the lead's place
	// in the queue for workers: the smallest comes first.
	At store.Millis
	// Change says which change, if Kind is Change.
	Change Step
	Limit  *Use
	// Opens, with Limited, is when the limit allows one more attempt; 0 if that is when
	// one ends.
	Opens store.Millis
	// Message, with Limited, is when a scheduled message of the lead is due; 0 if none is.
	Message store.Millis
}

// Kind is the kind of a Need.
type Kind uint8

// What a lead may need.
const (
	Nothing Kind = iota // nothing, until an event changes the lead or its workflow
	Until               // nothing before Need.At
	Closed              // the lead is due, but no attempt with its rate key begins before Need.At
	Worker              // a free worker, to begin an attempt: see Begin
	Fact                // the result of an expression: see Answered
	Change              // the change Need.Change: see Advance
	Limited             // that Need.Limit allows one more attempt; At is as for Worker
	Learn               // what is known of its contact: View.Phone, and Use.Know for Need.Limit
)

// Reason says why a lead needs what it needs.
type Reason string

// The reasons, in the words of the HTTP contract.
const (
	ReasonFinal     Reason = "final"
	ReasonDeleted   Reason = "workflow_deleted"
	ReasonDraft     Reason = "workflow_draft"
	ReasonPaused    Reason = "workflow_paused"
	ReasonCancelled Reason = "workflow_cancelled"
	ReasonWait      Reason = "wait"
	ReasonWorker    Reason = "worker"
	ReasonHandler   Reason = "handler"
	ReasonCallback  Reason = "callback"
	ReasonRetry     Reason = "retry"
	ReasonHooks     Reason = "hooks"
	ReasonRest      Reason = "rest" // the store could not be read; it is read again after a pause
	ReasonFact      Reason = "expression"
	ReasonRemoval   Reason = "removal"
	ReasonCooling   Reason = "cooling"         // back-off of the rate key: its attempts cannot be made
	ReasonParked    Reason = "parked"          // the process ended too often during the attempt
	ReasonMissing   Reason = "handler_missing" // this engine lacks a handler that another one has
	ReasonHold      Reason = "hold"
	ReasonSignal    Reason = "signal"
	ReasonHours     Reason = "calling_hours"

	ReasonLimit    Reason = "limit"
	ReasonDailyCap Reason = "daily_cap" // a limit of attempts per contact, for a day or longer
	ReasonUnread   Reason = "contact"   // the contact must be read to ask the limits

	ReasonUnreadable Reason = "unreadable" // the lead's rows are damaged

	ReasonSuppressed Reason = "suppressed" // the contact is suppressed for the channel of the step
)

// Step is a change that is due.
type Step uint8

// The changes that happen to a lead without a request, an answer or a callback.
const (
	StepPass        Step = iota + 1 // its wait is over: it goes on
	StepTimeOut                     // the attempt in flight has passed its deadline
	StepEnd                         // a callback gave the outcome, and no handler runs that could return
	StepDrop                        // there is to be no further attempt: the step ends
	StepHooks                       // its hooks are to be called
	StepCancel                      // its workflow was cancelled: it is removed
	StepPark                        // the attempt in flight is not delivered again
	StepFailUnknown                 // nobody knows what became of the attempt, and it must not be made twice
	StepRelease                     // its hold is over
	StepDefer                       // no attempt begins before Need.At, so the lead need not be in memory until then
	StepSuppress                    // the step does not take place: the contact is suppressed for its channel
)

// byRule reports whether the change follows from the event before it, and not from the
// time.
func (s Step) byRule() bool {
	switch s {
	case StepDrop, StepHooks, StepFailUnknown, StepRelease, StepDefer, StepSuppress:
		return true
	}
	return false
}

// Places in the queue for workers: attempts that a crash interrupted come first, then
// queued retries, then first attempts in order of due time. Removals may wait for the
// former two, and new leads may keep coming (promise 4).
const (
	placeAgain = -store.MaxMillis
	placeRetry = -store.MaxMillis / 2
)

// Next returns what a lead needs at the time now, and why. f is nil if the workflow
// does not exist any more.
func Next(v *View, f *Flow, now store.Millis) Need {
	r := &v.Rec
	switch {
	case r.State.Final():
		return Need{Reason: ReasonFinal}
	case !f.Exists():
		return Need{Reason: ReasonDeleted}
	case f.cancelled() && (r.State != lead.PendingRemoval || v.Unreadable != nil):
		return Need{Kind: Change, Change: StepCancel, Reason: ReasonCancelled}
	case v.Unreadable != nil:
		return Need{Reason: ReasonUnreadable}
	case v.Notes.Hold.over(now):
		return Need{Kind: Change, Change: StepRelease, Reason: ReasonHold}
	}
	switch r.Phase {
	case store.PhaseRunning:
		return nextRunning(v, f, now)
	case store.PhaseAwaiting:
		if r.Deadline <= now {
			return Need{Kind: Change, Change: StepTimeOut, Reason: ReasonCallback}
		}
		return Need{Kind: Until, At: r.Deadline, Reason: ReasonCallback}
	case store.PhaseRetrying:
		return nextRetrying(v, f, now)
	case store.PhaseHooks:
		if v.Hooking || v.Elsewhere(f) {
			return Need{Reason: ReasonHooks}
		}
		return Need{Kind: Change, Change: StepHooks, Reason: ReasonHooks}
	}
	return nextWaiting(v, f, now)
}

// nextRunning: the attempt is on record as begun. Unless this process calls its
// handler, a crash has interrupted it.
func nextRunning(v *View, f *Flow, now store.Millis) Need {
	r := &v.Rec
	switch {
	case v.Elsewhere(f):
		return Need{Reason: ReasonHandler}
	case !v.Running && v.Notes.Ended != nil:
		return Need{Kind: Change, Change: StepEnd, Reason: ReasonCallback}
	case r.Deadline <= now:
		return Need{Kind: Change, Change: StepTimeOut, Reason: ReasonHandler}
	case v.Running:
		return Need{Kind: Until, At: r.Deadline, Reason: ReasonHandler}
	}
	if v.unanswerable(f, now) {
		return Need{Kind: Change, Change: StepFailUnknown, Reason: ReasonHandler}
	}
	if poisonous(v, f) {
		return Need{Kind: Change, Change: StepPark, Reason: ReasonParked}
	}
	switch ruling := mayBegin(v, f, now); {
	case ruling.may == never:
		return Need{Kind: Change, Change: StepDrop, Reason: ruling.reason}
	case ruling.reason == ReasonUnread && v.Rest <= now:
		return Need{Kind: Learn, Reason: ruling.reason, Limit: ruling.limit}
	case ruling.may == later && ruling.until != 0:
		return Need{Kind: Until, At: min(ruling.until, r.Deadline), Reason: ruling.reason}
	case ruling.may == later:
		return Need{Kind: Until, At: r.Deadline, Reason: ruling.reason}
	case v.Rest > now:
		return Need{Kind: Until, At: min(v.Rest, r.Deadline), Reason: ReasonRest}
	}
	return Need{Kind: Worker, At: placeAgain + r.Deadline, Reason: ReasonWorker}
}

func nextRetrying(v *View, f *Flow, now store.Millis) Need {
	r := &v.Rec
	switch ruling := mayBegin(v, f, now); {
	case ruling.may == never:
		return Need{Kind: Change, Change: StepDrop, Reason: ruling.reason}
	case ruling.may == later && (ruling.until == 0 && ruling.limit == nil || ruling.reason == ReasonHold):
		return v.later(ruling, now, 0)
	case r.Due > now:
		return Need{Kind: Until, At: r.Due, Reason: ReasonRetry}
	case ruling.may == later:
		return v.later(ruling, now, placeRetry+r.Due)
	}
	return Need{Kind: Worker, At: placeRetry + r.Due, Reason: ReasonWorker}
}

// nextWaiting: the lead has no step in flight.
func nextWaiting(v *View, f *Flow, now store.Millis) Need {
	r := &v.Rec
	switch {
	case v.Notes.Ask && v.Rest > now:
		return Need{Kind: Until, At: v.Rest, Reason: ReasonRest}
	case v.Notes.Ask:
		return Need{Kind: Fact, Reason: ReasonFact}
	}
	for _, brake := range brakes {
		if ruling := brake.ask(v, f, now); ruling.may != allowed {
			return v.later(ruling, now, 0)
		}
	}
	switch due := v.nextDue(); {
	case due > now:
		return Need{Kind: Until, At: due, Reason: v.waitReason(f)}
	case !v.messageDue(now) && f.Graph.Node(r.Node).Type == workflow.Time:
		return Need{Kind: Change, Change: StepPass, Reason: v.waitReason(f)}
	}
	switch ruling := mayBegin(v, f, now); ruling.may {
	case never:
		return Need{Kind: Change, Change: StepSuppress, Reason: ruling.reason}
	case later:
		return v.later(ruling, now, r.Wake)
	}
	return Need{Kind: Worker, At: r.Wake, Reason: ReasonWorker}
}

// brakes are the rules that stop a lead without a step in flight also while it waits
// for a time.
var brakes = [...]rule{ruleDraft, rulePaused, ruleHeld}

// waitReason says what a lead at a time node waits for.
func (v *View) waitReason(f *Flow) Reason {
	if f.Graph.Node(v.Rec.Node).Type == workflow.Time && f.Graph.Awaits(v.Rec.Node) != "" {
		return ReasonSignal
	}
	return ReasonWait
}

// far is the Wake of a lead that waits for an event and no time.
const far = store.MaxMillis - 1

// later returns what a lead needs that a rule keeps from going on. If the rule concerns
// this lead only, the lead's Wake is moved, so that the store does not return the lead
// before. place is the lead's in the queue for workers.
func (v *View) later(r ruling, now, place store.Millis) Need {
	until, message := r.until, store.Millis(0)
	if until == 0 {
		until = far
	}
	if m := v.Notes.Messages; v.Rec.Phase == store.PhaseWaiting && r.reason != ReasonHold && len(m) > 0 && m[0].Due > now {
		message = m[0].Due // which the rule may not keep from being sent
		until = min(until, message)
	}
	switch {
	case r.reason == ReasonUnread && v.Rest > now:
		return Need{Kind: Until, At: min(v.Rest, until), Reason: ReasonRest}
	case r.reason == ReasonUnread:
		return Need{Kind: Learn, Reason: r.reason, Limit: r.limit}
	case r.limit != nil && !r.own:
		return Need{Kind: Limited, At: place, Reason: r.reason, Limit: r.limit, Opens: r.until, Message: message}
	case !r.own && r.until == 0:
		return Need{Reason: r.reason}
	case !r.own:
		return Need{Kind: Closed, At: until, Reason: r.reason}
	case v.Rec.Wake < until:
		return Need{Kind: Change, Change: StepDefer, At: until, Reason: r.reason}
	case until == far:
		return Need{Reason: r.reason}
	}
	return Need{Kind: Until, At: until, Reason: r.reason}
}

// DueAt returns when the engine will next act on a lead by itself, assuming that its
// workflow is active; zero for a final lead, and for one that is held without an end.
func (v *View) DueAt() store.Millis {
	switch v.Rec.Phase {
	case store.PhaseWaiting, store.PhaseRetrying:
		if h := v.Notes.Hold; h != nil {
			return h.Until
		}
		if due := v.nextDue(); due == 0 || v.Rec.Wake <= v.Rec.Updated {
			return due
		}
		return v.Rec.Wake // it was put off
	case store.PhaseRunning, store.PhaseAwaiting:
		return v.Rec.Deadline
	case store.PhaseHooks:
		return v.Notes.Ended.At
	}
	return 0
}

// nextDue is when a lead without a step in flight is due: for its step, or for a
// scheduled message.
func (v *View) nextDue() store.Millis {
	if len(v.Notes.Messages) > 0 && v.Rec.Phase == store.PhaseWaiting {
		return min(v.Rec.Due, v.Notes.Messages[0].Due)
	}
	return v.Rec.Due
}

func (v *View) messageDue(now store.Millis) bool {
	return len(v.Notes.Messages) > 0 && v.Notes.Messages[0].Due <= now
}
