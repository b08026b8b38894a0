package life

import (
	"fmt"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// World is a set of workflows and the leads in them.
type World struct {
	Now         time.Time
	Hooks       []string // names of the completion hooks, in order
	HookTimeout time.Duration
	Flows       []*Flow
	Leads       []*Lead // in the order in which they were enrolled
	Draining    bool    // Shutdown was called
	// Asks: the result of a condition may be known later than the lead comes to it; the
	// lead waits there meanwhile.
	Asks bool
	// MaxRedeliveries is how often an attempt is made again after a crash; 0 for no
	// bound.
	MaxRedeliveries int
	// Deal is the outcome of a lead at a split node; needed if there is any.
	Deal func(l *Lead, n *Node) string

	Suppressions []*Suppression // in the order in which they were made
	Limits       []*Limit       // of all workflows; see SetLimits

	rests map[string]rest // by rate key
}

// Doing is what a lead has in flight.
type Doing int

// What can be in flight.
const (
	Resting  Doing = iota // nothing: the lead waits, or is final
	Running               // a handler runs
	Lost                  // a handler ran when the process died; it is to be called again
	Awaiting              // it waits for a callback
	Retrying              // the next attempt is queued
	Hooking               // the outcome is on record and the hooks run
)

func (d Doing) String() string {
	return [...]string{"nothing is in flight", "a handler runs", "a handler was lost", "a callback is awaited",
		"a retry is queued", "hooks run"}[d]
}

// Lead is a lead.
type Lead struct {
	Number  int // among all leads, from 0
	Flow    *Flow
	Contact lead.Contact
	ID      lead.ID // the zero value until an attack sets it
	State   lead.State
	Outcome string
	Removal *lead.Removal
	Hold    *lead.Hold // nil when it is not held

	Enrolled, Finished time.Time

	Steps []*Step // the history
	At    *Step   // where the lead is, or was when it became final

	Doing     Doing
	Deadline  time.Time // of the attempt in flight
	Told      lead.Lead // what hooks are told: the lead as the step ended
	HookSince time.Time // when the hook that runs was called; zero when none runs

	interrupted *Step             // the step of the path that a message being sent interrupts
	called      *ending           // by a callback that came before the handler returned
	endedAt     time.Time         // when the outcome came, while hooks run
	redelivered int               // how often the attempt in flight was made again after a crash
	parked      bool              // that was too often
	exits       string            // the outcome with which it leaves after the step in flight; "" when it stays
	kept        map[string][]byte // the data of signals that came during the step in flight, by name
	hook        int               // which hook is due or runs
	hookFails   []string
}

func (l *Lead) String() string { return fmt.Sprintf("lead %d", l.Number) }

// Step is a visit of a lead to a node, or a scheduled message.
type Step struct {
	lead.Step             // as the history has it; ID is the zero value until an attack sets it
	Node      *Node       // visited, or whose handler scheduled the message
	Text      []byte      // of a scheduled message
	Calls     []lead.Call // the call log's entries

	first []time.Time // when the attempts of Calls were first begun

	notMade int  // how often in a row the next attempt was begun and not made
	again   bool // it was made again after a crash before that
}

// Live returns the lead of the contact in the workflow that is not final, or nil.
func (w *World) Live(f *Flow, phone string) *Lead {
	for _, l := range w.Leads {
		if l.Flow == f && l.Contact.PhoneNumber == phone && !l.State.Final() {
			return l
		}
	}
	return nil
}

// Enroll makes a lead, at the entry node, due now. If the contact has a live lead, it
// returns nil and that lead. Whether the workflow accepts leads is what
// [World.MayEnroll] says, and whether the contact is suppressed is what
// [World.Suppressed] says.
func (w *World) Enroll(f *Flow, c lead.Contact) (fresh, live *Lead) {
	if live := w.Live(f, c.PhoneNumber); live != nil {
		return nil, live
	}
	l := &Lead{Number: len(w.Leads), Flow: f, Contact: c, State: lead.Enrolled, Enrolled: w.Now}
	w.Leads = append(w.Leads, l)
	w.enter(l, f.Entry)
	return l, nil
}

// visit adds a step to the lead's history.
func (w *World) visit(l *Lead, n *Node) *Step {
	st := &Step{Node: n, Step: lead.Step{
		NodeID: n.ID, NodeType: string(n.Type), Status: lead.StepWaiting, EnteredAt: w.Now, ScheduledAt: w.Now,
	}}
	l.Steps = append(l.Steps, st)
	return st
}

func (w *World) over(st *Step, status lead.StepStatus, outcome string) {
	st.Status, st.Outcome, st.ExitedAt = status, outcome, w.Now
}

func (st *Step) nodeType() workflow.NodeType { return workflow.NodeType(st.NodeType) }

// last is the attempt begun or queued last, or nil.
func (st *Step) last() *lead.Attempt {
	if len(st.Attempts) == 0 {
		return nil
	}
	return &st.Attempts[len(st.Attempts)-1]
}

// begunNumber is the number of the attempt that was begun last, or 0.
func (l *Lead) begunNumber() int {
	if a := l.Begun(); a != nil {
		return a.Number
	}
	return 0
}

// Begun is the attempt of the lead's step that was begun last, or nil.
func (l *Lead) Begun() *lead.Attempt {
	for i := len(l.At.Attempts) - 1; i >= 0; i-- {
		if a := &l.At.Attempts[i]; !a.StartedAt.IsZero() {
			return a
		}
	}
	return nil
}
