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
	// At is, of Until and Closed, the moment at which to ask again; of Worker, the lead's place
	// among those that want one: the least first.
	At store.Millis
	// Change is what happens, when Kind is Change.
	Change Step
}

// Kind is what kind of thing a lead needs.
type Kind uint8

// What a lead may need.
const (
	Nothing Kind = iota // before something else happens: to it, or to its workflow
	Until               // nothing before Need.At
	Closed              // the lead is due, and nothing of its kind begins before Need.At
	Worker              // a free worker, to begin an attempt: see Begin
	Fact                // an expression to be answered: see Answered
	Change              // Need.Change to be made: see Advance
)

// Reason says why a lead is where it is.
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
	ReasonRest      Reason = "rest" // something could not be read, and is tried again
	ReasonFact      Reason = "expression"
	ReasonRemoval   Reason = "removal"
	ReasonCooling   Reason = "cooling" // nothing can be done for the rate key
	ReasonParked    Reason = "parked"  // the end of a process interrupted the attempt too often
)

// Step is a change that is due.
type Step uint8

// The changes that happen to a lead without anybody asking for them.
const (
	StepPass    Step = iota + 1 // its wait is over: it goes on
	StepTimeOut                 // the attempt in flight has been in flight for too long
	StepEnd                     // a callback has ended the step, and no handler is to return
	StepDrop                    // no further attempt is wanted: the step ends
	StepHooks                   // its hooks are to be called
	StepCancel                  // its workflow was cancelled: it is removed
	StepPark                    // the attempt in flight is not delivered again
)

// byRule reports whether the change follows from what just happened, and not
// from the time.
func (s Step) byRule() bool { return s == StepDrop || s == StepHooks }

// Places among those that want a worker: attempts that a crash interrupted come
// first, then queued retries, because removals may wait for either and of leads
// that have not started there may be no end (promise 4); then those, by when
// they came due.
const (
	placeAgain = -store.MaxMillis
	placeRetry = -store.MaxMillis / 2
)

// Next returns what a lead needs at the moment now, and why. A nil flow is one
// that is not there any more.
func Next(v *View, f *Flow, now store.Millis) Need {
	r := &v.Rec
	switch {
	case r.State.Final():
		return Need{Reason: ReasonFinal}
	case !f.Exists():
		return Need{Reason: ReasonDeleted}
	case f.cancelled() && r.State != lead.PendingRemoval:
		return Need{Kind: Change, Change: StepCancel, Reason: ReasonCancelled}
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
		if v.Hooking {
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
	case !v.Running && v.Notes.Ended != nil:
		return Need{Kind: Change, Change: StepEnd, Reason: ReasonCallback}
	case r.Deadline <= now:
		return Need{Kind: Change, Change: StepTimeOut, Reason: ReasonHandler}
	case v.Running:
		return Need{Kind: Until, At: r.Deadline, Reason: ReasonHandler}
	}
	if poisonous(v, f) {
		return Need{Kind: Change, Change: StepPark, Reason: ReasonParked}
	}
	switch ruling := mayBegin(v, f, now); {
	case ruling.may == never:
		return Need{Kind: Change, Change: StepDrop, Reason: ruling.reason}
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
	case ruling.may == later && ruling.until == 0:
		return Need{Reason: ruling.reason}
	case r.Due > now:
		return Need{Kind: Until, At: r.Due, Reason: ReasonRetry}
	case ruling.may == later:
		return Need{Kind: Closed, At: ruling.until, Reason: ruling.reason}
	}
	return Need{Kind: Worker, At: placeRetry + r.Due, Reason: ReasonWorker}
}

// nextWaiting: nothing of the lead is in flight.
func nextWaiting(v *View, f *Flow, now store.Millis) Need {
	r := &v.Rec
	switch {
	case v.Notes.Ask && v.Rest > now:
		return Need{Kind: Until, At: v.Rest, Reason: ReasonRest}
	case v.Notes.Ask:
		return Need{Kind: Fact, Reason: ReasonFact}
	case f.Row.Status == lead.WorkflowDraft:
		return Need{Reason: ReasonDraft}
	case !f.Active():
		return Need{Reason: ReasonPaused}
	}
	switch due := v.nextDue(); {
	case due > now:
		return Need{Kind: Until, At: due, Reason: ReasonWait}
	case !v.messageDue(now) && f.Graph.Node(r.Node).Type == workflow.Time:
		return Need{Kind: Change, Change: StepPass, Reason: ReasonWait}
	}
	if ruling := mayBegin(v, f, now); ruling.may != allowed {
		return Need{Kind: Closed, At: ruling.until, Reason: ruling.reason}
	}
	return Need{Kind: Worker, At: r.Wake, Reason: ReasonWorker}
}

// DueAt returns when the engine is to act on a lead by itself, whether its
// workflow is active or not; zero for a final lead.
func (v *View) DueAt() store.Millis {
	switch v.Rec.Phase {
	case store.PhaseWaiting:
		return v.nextDue()
	case store.PhaseRetrying:
		return v.Rec.Due
	case store.PhaseRunning, store.PhaseAwaiting:
		return v.Rec.Deadline
	case store.PhaseHooks:
		return v.Notes.Ended.At
	}
	return 0
}

// nextDue is when a lead that is not in flight is due: for its step, or for a
// message beside it.
func (v *View) nextDue() store.Millis {
	if len(v.Notes.Messages) > 0 {
		return min(v.Rec.Due, v.Notes.Messages[0].Due)
	}
	return v.Rec.Due
}

func (v *View) messageDue(now store.Millis) bool {
	return len(v.Notes.Messages) > 0 && v.Notes.Messages[0].Due <= now
}
