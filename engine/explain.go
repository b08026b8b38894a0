package engine

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// WaitReason says what a lead waits for.
type WaitReason string

// The reasons of an explanation.
const (
	WaitTime     WaitReason = "wait"            // a delay
	WaitSignal   WaitReason = "signal"          // a signal, or its time-out
	WaitHours    WaitReason = "calling_hours"   // the calling hours open
	WaitLimit    WaitReason = "limit"           // a limit allows one more attempt
	WaitDailyCap WaitReason = "daily_cap"       // the person has had as many attempts as are allowed in a day or longer
	WaitCooling  WaitReason = "cooling"         // the rate key is closed
	WaitWorker   WaitReason = "worker"          // a free worker, or an engine that has the handler
	WaitPaused   WaitReason = "workflow_paused" // the workflow is paused
	WaitDraft    WaitReason = "workflow_draft"  // the workflow is not active yet
	WaitHold     WaitReason = "hold"            // the lead is held
	WaitCallback WaitReason = "callback"        // the outcome comes by a callback
	WaitHandler  WaitReason = "handler"         // its handler runs
	WaitRetry    WaitReason = "retry"           // the next attempt is queued
	WaitHooks    WaitReason = "hooks"           // its completion hooks run
	WaitFinal    WaitReason = "final"           // nothing: the lead is removed or completed
)

// String returns the reason as it is on the wire.
func (r WaitReason) String() string { return string(r) }

// Explanation says why a lead is where it is, what comes next, and what removing it would
// do. It comes from the functions that decide.
type Explanation struct {
	ID    lead.ID    `json:"id"`
	State lead.State `json:"status"`
	Node  string     `json:"node_id"`
	Since time.Time  `json:"since"` // since when the lead has been where it is
	// Reason is the first of the Blockers. Until is when that ends by itself; zero if it
	// is not known.
	Reason  WaitReason `json:"reason"`
	Summary string     `json:"summary"` // a sentence for people
	Until   time.Time  `json:"until,omitzero"`

	Blockers []Blocker  `json:"blockers"` // all that keeps the lead from going on
	Next     []NextStep `json:"next"`     // the edges that the step may take
	// RemovalWould is what Remove would do; nil for a final lead.
	RemovalWould *RemovalOutlook `json:"removal_would,omitempty"`

	name    string // of the node, for people
	outcome string // of a final lead
}

// Blocker is one thing that keeps a lead from going on.
type Blocker struct {
	Kind   WaitReason `json:"kind"`
	Detail string     `json:"detail"`
	Until  time.Time  `json:"until,omitzero"` // when it ends by itself; zero if it is not known
}

// NextStep is an edge that the step may take.
type NextStep struct {
	Node    string    `json:"node_id"`
	Outcome string    `json:"outcome"`
	At      time.Time `json:"at,omitzero"` // zero if it is not known
}

// RemovalOutlook is what removing the lead would do.
type RemovalOutlook struct {
	State    lead.State      `json:"status"`             // at once: removed, or pending_removal
	Finishes *FinishingStep  `json:"finishes,omitempty"` // the step in flight that would be finished first
	Cancels  []CancelledStep `json:"cancels"`
}

// FinishingStep is a step in flight.
type FinishingStep struct {
	Node string    `json:"node_id"`
	By   time.Time `json:"by,omitzero"` // at the latest; zero if it is not known
}

// CancelledStep is a step that would be cancelled.
type CancelledStep struct {
	Node string    `json:"node_id"`
	Due  time.Time `json:"due_at"`
}

// Explain says why a lead is where it is. Errors are those of Lead.
func (e *Engine) Explain(ctx context.Context, workflow lead.WorkflowID, id lead.ID) (Explanation, error) {
	return e.ExplainAt(ctx, workflow, id, time.Time{})
}

// ExplainAt says where a lead would be at a time in the future, and why, if nothing is
// heard of it until then: no outcome, no callback, no request. A time in the past, and the
// zero time, mean now. Errors are those of Lead.
func (e *Engine) ExplainAt(ctx context.Context, workflow lead.WorkflowID, id lead.ID, at time.Time) (Explanation, error) {
	x, f, err := e.run.Explain(ctx, workflow, id, store.MillisOf(at))
	if err != nil {
		return Explanation{}, e.why(err)
	}
	out := Explanation{
		ID: id, State: x.View.Rec.State, Node: f.Graph.Node(x.Node).ID, Since: x.Since.Time(), Reason: waitReason(x.Reason),
		Until: x.Until.Time(), Blockers: []Blocker{}, Next: []NextStep{},
	}
	for _, b := range x.Blockers {
		out.Blockers = append(out.Blockers, Blocker{Kind: waitReason(b.Reason), Detail: detail(f, &x, b), Until: b.Until.Time()})
	}
	for _, w := range x.Next {
		out.Next = append(out.Next, NextStep{Node: f.Graph.Node(w.Node).ID, Outcome: w.Outcome, At: w.At.Time()})
	}
	if x.Removal.State != 0 {
		r := &RemovalOutlook{State: x.Removal.State, Cancels: []CancelledStep{}}
		if x.Removal.Finishes {
			r.Finishes = &FinishingStep{Node: out.Node, By: x.Removal.By.Time()}
		}
		for _, c := range x.Removal.Cancels {
			r.Cancels = append(r.Cancels, CancelledStep{Node: f.Graph.Node(c.Node).ID, Due: c.Due.Time()})
		}
		out.RemovalWould = r
	}
	node := f.Graph.Node(x.Node)
	out.name, out.outcome = cmp.Or(node.Label, node.ID), x.View.Rec.Outcome
	out.Summary = out.Sentence(func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") })
	return out, nil
}

// waitReason is the core's reason in the words of the HTTP contract.
func waitReason(r core.Reason) WaitReason {
	switch r {
	case core.ReasonMissing, core.ReasonUnread, core.ReasonFact, core.ReasonRest:
		return WaitWorker
	case core.ReasonParked, core.ReasonRemoval:
		return WaitHandler
	case core.ReasonDeleted, core.ReasonCancelled:
		return WaitFinal
	}
	return WaitReason(r)
}

// Sentence returns the Summary, with times as moment writes them.
func (x *Explanation) Sentence(moment func(time.Time) string) string {
	if x.Reason == WaitFinal {
		text := "The lead is " + x.State.String()
		if x.outcome != "" {
			text += " with the outcome " + x.outcome
		}
		return text + "."
	}
	verb := "Waits at"
	if x.State.InFlight() {
		verb = "Is at"
	}
	parts := make([]string, len(x.Blockers))
	for i, b := range x.Blockers {
		parts[i] = b.Detail
		if !b.Until.IsZero() {
			parts[i] += " (until " + moment(b.Until) + ")"
		}
	}
	text := fmt.Sprintf("%s %q: %s.", verb, x.name, strings.Join(parts, "; "))
	if x.State == lead.PendingRemoval {
		text += " Its removal is pending."
	}
	return text
}
