package engine_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// This file and model_life_test.go are the reference model: the life of a lead
// as the table in lead/machine.go and the package comment tell it, and nothing
// else. It knows no store, batch, queue or worker goroutine. Every step is a
// lead.Step as a reader of the history is to see it, so that comparing is
// comparing texts.
//
// The model does not decide which handlers are called when: it is told, and
// says whether that was right. What it decides is what everything else comes
// to.

// spec is a set of workflows and the leads in them.
type spec struct {
	now         time.Time
	hooks       []string // names of the completion hooks, in order
	hookTimeout time.Duration
	flows       []*specFlow
	leads       []*specLead // in the order in which they were enrolled
	log         []*specCall
	draining    bool // Shutdown was called: nothing begins
}

type specFlow struct {
	name    string
	id      lead.WorkflowID
	status  lead.WorkflowStatus
	deleted bool
	entry   string
	nodes   map[string]*specNode
	order   []*specNode // for the engine's definition
}

func (f *specFlow) active() bool { return f.status == lead.WorkflowActive && !f.deleted }

type specNode struct {
	id       string
	kind     workflow.NodeType
	wait     time.Duration // of a time node
	attempts int           // at a step of it, at most
	delay    time.Duration // before the second attempt; doubled before each further one
	timeout  time.Duration
	edges    map[string]string // node by outcome; by "" for a time node
}

// next is where an outcome leads: its own edge, else the default one (promise 10).
func (n *specNode) next(outcome string) (string, bool) {
	to, ok := n.edges[outcome]
	if !ok {
		to, ok = n.edges[workflow.DefaultLabel]
	}
	return to, ok
}

// doing is what is in flight of a lead.
type doing int

const (
	doingNothing doing = iota // the lead waits, or is final
	doingCall                 // a handler runs
	doingLost                 // a handler ran when the process died; it is to be called again
	doingAwait                // the callback is awaited
	doingRetry                // the next attempt is queued
	doingHooks                // the outcome is on record and the hooks run
)

func (d doing) String() string {
	return [...]string{"nothing is in flight", "a handler runs", "a handler was lost", "a callback is awaited",
		"a retry is queued", "hooks run"}[d]
}

type specLead struct {
	number  int // among all leads, from 0
	flow    *specFlow
	contact lead.Contact
	id      lead.ID // zero until it is known
	state   lead.State
	outcome string
	removal *lead.Removal

	enrolled, finished time.Time

	steps       []*specStep // the history
	at          *specStep   // where the lead is, or was when it became final
	interrupted *specStep   // the step of the path that a message being sent interrupts

	// The step in flight.
	doing     doing
	deadline  time.Time   // of the attempt in flight
	called    *specEnding // a callback was faster than the handler
	endedAt   time.Time   // when the outcome came, while hooks run
	hook      int         // which hook is due or runs
	hookSince time.Time   // when it was called; zero when it has not been
	hookFails []string
	told      lead.Lead // what hooks are told: the lead as the step ended

	// recorded: the attempt was begun before its handler was seen to be called.
	recorded bool
	logged   *specCall // the call log's entry of the attempt begun last
}

func (l *specLead) String() string { return fmt.Sprintf("lead %d", l.number) }

type specStep struct {
	lead.Step
	node *specNode
	data []byte // of a scheduled message
}

// specCall is an entry of the call log.
type specCall struct {
	lead.Call
	lead *specLead
	step *specStep
}

// specEnding is how a step ends.
type specEnding struct {
	at      time.Time
	status  lead.StepStatus
	outcome string
	err     string
	callID  string
	data    []byte
}

// anyText stands for a text that is there, and is the engine's to word.
const anyText = "*"

func (s *spec) live(f *specFlow, phone string) *specLead {
	for _, l := range s.leads {
		if l.flow == f && l.contact.PhoneNumber == phone && !l.state.Final() {
			return l
		}
	}
	return nil
}

// enroll: – → enrolled, at the entry node, due now. It returns nil and the lead
// that is live when the contact has one.
func (s *spec) enroll(f *specFlow, c lead.Contact) (fresh, live *specLead) {
	if live := s.live(f, c.PhoneNumber); live != nil {
		return nil, live
	}
	l := &specLead{number: len(s.leads), flow: f, contact: c, state: lead.Enrolled, enrolled: s.now}
	s.leads = append(s.leads, l)
	s.enter(l, f.entry)
	return l, nil
}

// visit adds a step to the lead's history.
func (s *spec) visit(l *specLead, n *specNode) *specStep {
	st := &specStep{node: n, Step: lead.Step{
		NodeID: n.id, NodeType: string(n.kind), Status: lead.StepWaiting, EnteredAt: s.now, ScheduledAt: s.now,
	}}
	l.steps = append(l.steps, st)
	return st
}

// enter takes a lead to a node, on through conditions, to where it rests.
func (s *spec) enter(l *specLead, node string) {
	for {
		n := l.flow.nodes[node]
		l.at = s.visit(l, n)
		switch {
		case n.kind.Action():
			return
		case n.kind == workflow.Time:
			l.at.ScheduledAt = s.now.Add(n.wait)
			return
		case n.kind.Terminal():
			s.over(l.at, lead.StepCompleted, string(n.kind))
			s.finish(l, string(n.kind))
			return
		}
		outcome := fmt.Sprint(l.contact.Metadata["vip"] == true)
		s.over(l.at, lead.StepCompleted, outcome)
		next, ok := n.next(outcome)
		if !ok {
			s.finish(l, lead.OutcomeNoRoute)
			return
		}
		node = next
	}
}

func (s *spec) over(st *specStep, status lead.StepStatus, outcome string) {
	st.Status, st.Outcome, st.ExitedAt = status, outcome, s.now
}

// finish: enrolled → completed.
func (s *spec) finish(l *specLead, outcome string) {
	l.outcome = outcome
	s.end(l, lead.Completed)
}

// detach: → removed. What the lead waited for is cancelled, on record.
func (s *spec) detach(l *specLead) {
	if l.at.Status == lead.StepWaiting {
		s.over(l.at, lead.StepCancelled, "")
	}
	l.removal.RemovedAt = s.now
	s.end(l, lead.Removed)
}

// end leaves nothing of a final lead behind (promise 5).
func (s *spec) end(l *specLead, state lead.State) {
	l.state, l.finished = state, s.now
	for _, m := range l.messages() {
		s.over(m, lead.StepCancelled, "")
	}
}

// messages are those that are scheduled for a lead, the next one first.
func (l *specLead) messages() []*specStep {
	var out []*specStep
	for _, st := range l.steps {
		if st.Scheduled && st.Status == lead.StepWaiting {
			out = append(out, st)
		}
	}
	slices.SortStableFunc(out, func(a, b *specStep) int { return a.ScheduledAt.Compare(b.ScheduledAt) })
	return out
}

// remove is the table's remove. The error is nil or lead.ErrLeadFinal.
func (s *spec) remove(l *specLead, how lead.Removal) error {
	switch l.state {
	case lead.Enrolled:
		how.RequestedAt = s.now
		l.removal = &how
		s.detach(l)
	case lead.InStep:
		how.RequestedAt = s.now
		l.state, l.removal = lead.PendingRemoval, &how
	case lead.PendingRemoval:
		// Asking twice changes nothing, but retries may still be given up.
		l.removal.SkipRetries = l.removal.SkipRetries || how.SkipRetries
	default:
		return lead.ErrLeadFinal
	}
	if l.skips() && l.doing == doingRetry {
		s.ends(l, specEnding{at: s.now, status: lead.StepFailed, outcome: l.failure(), err: l.begun().Error})
	}
	return nil
}

// skips reports whether no further attempt of the step in flight is made.
func (l *specLead) skips() bool { return l.state == lead.PendingRemoval && l.removal.SkipRetries }

func (l *specLead) failure() string { return workflow.NodeType(l.at.NodeType).FailureOutcome() }

// The life of a workflow. Each returns nil, or lead.ErrWorkflowStatus.

func (s *spec) turn(f *specFlow, to lead.WorkflowStatus, from ...lead.WorkflowStatus) error {
	if !slices.Contains(from, f.status) {
		return lead.ErrWorkflowStatus
	}
	f.status = to
	return nil
}

func (s *spec) activate(f *specFlow) error {
	return s.turn(f, lead.WorkflowActive, lead.WorkflowDraft)
}

func (s *spec) pause(f *specFlow) error {
	return s.turn(f, lead.WorkflowPaused, lead.WorkflowActive)
}

func (s *spec) resume(f *specFlow) error {
	return s.turn(f, lead.WorkflowActive, lead.WorkflowPaused)
}

// cancel: nothing new starts, and every lead goes the way of remove, see sweep.
func (s *spec) cancel(f *specFlow) error {
	return s.turn(f, lead.WorkflowCancelled, lead.WorkflowDraft, lead.WorkflowActive, lead.WorkflowPaused)
}

// sweep removes the leads of cancelled workflows. What came in together with
// the cancel is decided first.
func (s *spec) sweep() {
	for _, l := range s.leads {
		if l.flow.status == lead.WorkflowCancelled && !l.flow.deleted && (l.state == lead.Enrolled || l.state == lead.InStep) {
			s.remove(l, lead.Removal{Reason: lead.ReasonWorkflowCancelled})
		}
	}
}

func (s *spec) closeFlow(f *specFlow) error {
	if f.status.Final() || f.status == lead.WorkflowDraft || s.count(f, lead.Enrolled, lead.InStep, lead.PendingRemoval) > 0 {
		return lead.ErrWorkflowStatus
	}
	f.status = lead.WorkflowCompleted
	return nil
}

func (s *spec) deleteFlow(f *specFlow) error {
	if f.status != lead.WorkflowDraft && !f.status.Final() || s.count(f, lead.InStep, lead.PendingRemoval) > 0 {
		return lead.ErrWorkflowStatus
	}
	f.deleted = true
	return nil
}

func (s *spec) count(f *specFlow, states ...lead.State) int {
	n := 0
	for _, l := range s.leads {
		if l.flow == f && slices.Contains(states, l.state) {
			n++
		}
	}
	return n
}

// view is the lead as a reader is to see it.
func (s *spec) view(l *specLead) lead.Lead {
	out := lead.Lead{
		ID: l.id, WorkflowID: l.flow.id, Contact: l.contact, State: l.state, Node: l.at.NodeID, Outcome: l.outcome,
		EnrolledAt: l.enrolled,
	}
	if l.removal != nil {
		how := *l.removal
		out.Removal = &how
	}
	switch {
	case l.state == lead.Completed:
		out.CompletedAt = l.finished
	case l.state.Final():
	case l.doing == doingNothing:
		out.NextActionAt = l.at.ScheduledAt
		if m := l.messages(); len(m) > 0 && m[0].ScheduledAt.Before(out.NextActionAt) {
			out.NextActionAt = m[0].ScheduledAt
		}
	case l.doing == doingRetry:
		out.NextActionAt = l.at.last().DueAt
	case l.doing == doingHooks:
		out.NextActionAt = l.endedAt
	default:
		out.NextActionAt = l.deadline
	}
	return out
}

// history is the lead's steps as a reader is to see them.
func (s *spec) history(l *specLead) []lead.Step {
	var out []lead.Step
	for _, st := range l.steps {
		step := st.Step
		if st == l.at && l.called != nil {
			step.Outcome, step.CallID, step.Data = l.called.outcome, cmp.Or(l.called.callID, step.CallID), l.called.data
		}
		if st.Scheduled && (st.Status == lead.StepWaiting || st.Status == lead.StepCancelled) {
			step.Data = st.data
		}
		out = append(out, step)
	}
	return out
}

func (st *specStep) last() *lead.Attempt {
	if len(st.Attempts) == 0 {
		return nil
	}
	return &st.Attempts[len(st.Attempts)-1]
}

// begun is the attempt that was begun last.
func (l *specLead) begun() *lead.Attempt {
	for i := len(l.at.Attempts) - 1; i >= 0; i-- {
		if a := &l.at.Attempts[i]; !a.StartedAt.IsZero() {
			return a
		}
	}
	return nil
}

// schedule puts messages beside the lead's path.
func (s *spec) schedule(l *specLead, messages []engine.Message) {
	for _, m := range messages {
		st := s.visit(l, l.at.node)
		st.Scheduled, st.NodeType, st.data = true, string(workflow.Message), m.Data
		st.ScheduledAt = s.now.Add(m.After)
	}
}
