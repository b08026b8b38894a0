package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// This file holds what the engine says against what the model says.

// called holds the call of a handler against the model.
func (w *trial) called(c *heldCall) {
	w.t.Helper()
	l := w.leadOf(c.ask.LeadID)
	if l == nil {
		w.t.Fatalf("a handler was called for %s, who is no lead", c.ask.Contact.PhoneNumber)
	}
	what := fmt.Sprintf("attempt %d at %s of %s", c.ask.Number, c.ask.Node.ID, l)
	if w.calls[l] != nil {
		w.t.Fatalf("a handler was called for %s, while another one runs", what)
	}
	switch {
	case l.recorded && l.doing == doingCall:
		l.recorded = false
	case w.spec.mayBegin(l):
		w.spec.begin(l)
	default:
		w.t.Fatalf("a handler was called for %s, while it is %s at %s", what, l.state, l.at.NodeID)
	}
	a := l.begun()
	if c.ask.Redelivered && w.doubt {
		a.Redelivered = true
	}
	if l.at.ID.IsZero() {
		l.at.ID = c.ask.StepID
	}
	want := engine.Attempt{
		WorkflowID: l.flow.id, LeadID: l.id, StepID: l.at.ID, Contact: l.contact, Node: c.ask.Node, Number: a.Number,
		IdempotencyKey: fmt.Sprintf("%s/%d", l.at.ID, a.Number), Redelivered: a.Redelivered, Deadline: l.deadline,
	}
	w.equal("the handler of "+l.String()+" is asked", w.askText(c.ask), w.askText(want))
	message := ""
	if l.at.Scheduled {
		message = string(l.at.data)
	}
	if c.ask.Node.ID != l.at.NodeID || (c.ask.Scheduled != nil) != l.at.Scheduled ||
		c.ask.Scheduled != nil && string(c.ask.Scheduled.Data) != message {
		w.t.Fatalf("the handler of %s is asked for the message %v at %s, not %q at %s", l, c.ask.Scheduled, c.ask.Node.ID, message, l.at.NodeID)
	}
	if !c.at.Equal(w.spec.now) {
		w.t.Fatalf("a handler was called for %s at %s, not at %s", what, w.after(c.at), w.after(w.spec.now))
	}
	w.promises.begun(w, l, c)
	w.calls[l] = c
	for what, is := range map[string]bool{
		"attempts": true, "redelivered": c.ask.Redelivered, "retries": a.Number > 1 && !c.ask.Redelivered,
		"messages": l.at.Scheduled, "attempts while pending": l.state == lead.PendingRemoval,
	} {
		if is {
			w.tally[what]++
		}
	}
}

func (w *trial) askText(a engine.Attempt) string {
	return w.text(fmt.Errorf("step %s attempt %d until %s, redelivered %t, key %s, %s %v",
		a.StepID, a.Number, w.after(a.Deadline), a.Redelivered, a.IdempotencyKey, a.Contact.PhoneNumber, a.Contact.Metadata))
}

// hookCalled holds the call of a hook against the model.
func (w *trial) hookCalled(h *heldHook) {
	w.t.Helper()
	l := w.leadOf(h.ask.Lead.ID)
	if l == nil || w.spec.hookDue(l) != h.name {
		w.t.Fatalf("the hook %s was called for %s, who is %s", h.name, h.ask.Lead.PhoneNumber, h.ask.Lead.State)
	}
	w.equal("the lead that a hook is told of", w.leadText(h.ask.Lead), w.leadText(l.told))
	w.equal("the step that a hook is told of", w.stepText(h.ask.Step), w.stepText(l.at.Step))
	l.hookSince = w.spec.now
	w.hooks[l] = h
}

// learnLeads finds out the ids of leads whose enrollment nobody was told of,
// because the process died right then.
func (w *trial) learnLeads() {
	w.t.Helper()
	for _, f := range w.spec.flows {
		var leads []*specLead
		unknown := false
		for _, l := range w.spec.leads {
			if l.flow == f {
				leads = append(leads, l)
				unknown = unknown || l.id.IsZero()
			}
		}
		if !unknown || f.deleted {
			continue
		}
		found := w.listed(f)
		if len(found) != len(leads) {
			w.t.Fatalf("%s has %d leads, want %d", f.name, len(found), len(leads))
		}
		for i, l := range leads {
			l.id = found[i].ID
		}
	}
}

func (w *trial) listed(f *specFlow) []lead.Lead {
	w.t.Helper()
	found, err := w.eng.Leads(context.Background(), f.id, engine.LeadFilter{})
	if err != nil {
		w.t.Fatalf("Leads: %s", w.text(err))
	}
	return found
}

// check holds all that can be read against the model, and the promises against
// all that was seen.
func (w *trial) check() {
	w.t.Helper()
	w.settle()
	for _, f := range w.spec.flows {
		w.checkFlow(f)
	}
	w.checkLog()
	if w.gate.accepted {
		w.t.Fatal("the store has taken a batch that was decided on a stale version")
	}
	for _, r := range w.removals {
		select {
		case <-r.Done():
			if !r.lead.state.Final() {
				w.t.Fatalf("the removal of %s is done, but it is %s", r.lead, r.lead.state)
			}
		default:
			if r.lead.state.Final() {
				w.t.Fatalf("the removal of %s is not done, but it is %s", r.lead, r.lead.state)
			}
		}
	}
	w.promises.check(w)
}

// checkFlow checks a workflow and its leads.
func (w *trial) checkFlow(f *specFlow) {
	w.t.Helper()
	ctx := context.Background()
	got, err := w.eng.Workflow(ctx, f.id)
	if f.deleted {
		w.expectRefusal("read "+f.name, err, modelMissing("workflow", f.id.String(), ""))
		return
	}
	if err != nil || got.Status != f.status {
		w.t.Fatalf("%s is %s, %s; want %s", f.name, got.Status, w.text(err), f.status)
	}
	for _, s := range lead.States() {
		want := int64(w.spec.count(f, s))
		n, err := w.eng.CountLeads(ctx, f.id, engine.LeadFilter{States: []lead.State{s}})
		if err != nil || n != want || got.Counts[s] != want {
			w.t.Fatalf("%s counts %d and %d leads as %s, want %d", f.name, n, got.Counts[s], s, want)
		}
	}
	list := w.listed(f)
	for _, l := range w.spec.leads {
		if l.flow != f {
			continue
		}
		if len(list) == 0 {
			w.t.Fatalf("%s is not listed", l)
		}
		one, err := w.eng.Lead(ctx, f.id, l.id)
		if err != nil {
			w.t.Fatalf("reading %s: %s", l, w.text(err))
		}
		want := w.leadText(w.spec.view(l))
		w.equal(l.String(), w.leadText(one), want)
		w.equal(l.String()+" as it is listed", w.leadText(list[0]), want)
		list = list[1:]
		w.checkHistory(l)
	}
	if len(list) != 0 {
		w.t.Fatalf("%s lists %d leads too many", f.name, len(list))
	}
}

func (w *trial) checkHistory(l *specLead) {
	w.t.Helper()
	got, err := w.eng.History(context.Background(), l.flow.id, l.id)
	if err != nil {
		w.t.Fatalf("reading the history of %s: %s", l, w.text(err))
	}
	want := w.spec.history(l)
	w.equal("the history of "+l.String(), w.historyText(got), w.historyText(want))
	for i, st := range l.steps {
		if st.ID.IsZero() {
			st.ID = got[i].ID
		} else if st.ID != got[i].ID {
			w.t.Fatalf("step %d of %s has another id than before", i, l)
		}
	}
	w.promises.history(w, l, got)
}

// checkLog checks the call log: an entry for each attempt at a call, in the
// order in which they were begun.
func (w *trial) checkLog() {
	w.t.Helper()
	calls, _, err := w.eng.Calls(context.Background(), engine.CallFilter{})
	if err != nil {
		w.t.Fatalf("Calls: %s", w.text(err))
	}
	// Those that began in the same batch are in no particular order.
	text := func(c lead.Call) string {
		return w.text(fmt.Errorf("%s %s %s attempt %d at %s of %s: %s %s %s to %s call %q error %q data %s", w.after(c.StartedAt),
			c.PhoneNumber, c.LeadID, c.Attempt, c.NodeID, c.StepID, c.Status, c.Outcome,
			w.after(c.StartedAt), w.after(c.EndedAt), c.CallID, modelWording(c.Error), c.Data))
	}
	var got, want []string
	for _, c := range calls {
		got = append(got, text(c))
	}
	if !slices.IsSortedFunc(calls, func(a, b lead.Call) int { return a.StartedAt.Compare(b.StartedAt) }) {
		w.t.Fatalf("the call log is not in order:\n%s", strings.Join(got, "\n"))
	}
	for _, c := range w.spec.log {
		c.LeadID, c.StepID = c.lead.id, c.step.ID
		want = append(want, text(c.Call))
	}
	slices.Sort(got)
	slices.Sort(want)
	w.equal("the call log", strings.Join(got, "\n"), strings.Join(want, "\n"))
}

func (w *trial) equal(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Fatalf("%s at %s:\n%s\nwant:\n%s", what, w.after(w.spec.now), got, want)
	}
}

// modelWording keeps a text that a handler or a hook gave, and stands anyText for
// one that is the engine's.
func modelWording(text string) string {
	name, rest, hook := strings.Cut(text, ": ")
	if hook && (name == "first" || name == "second") {
		return name + ": " + modelWording(rest)
	}
	switch text {
	case "", "busy", "no such customer":
		return text
	}
	return anyText
}

func (w *trial) leadText(l lead.Lead) string {
	text := fmt.Sprintf("%s %v %s at %s, next %s, enrolled %s", l.PhoneNumber, l.Metadata, l.State, l.Node,
		w.after(l.NextActionAt), w.after(l.EnrolledAt))
	if l.State == lead.Completed {
		text += fmt.Sprintf(", completed %s as %s", w.after(l.CompletedAt), l.Outcome)
	}
	if m := l.Removal; m != nil {
		text += fmt.Sprintf(", removal for %q by %q skipping %t asked %s done %s", m.Reason, m.Actor, m.SkipRetries,
			w.after(m.RequestedAt), w.after(m.RemovedAt))
	}
	return text
}

func (w *trial) historyText(steps []lead.Step) string {
	var lines []string
	for _, s := range steps {
		lines = append(lines, w.stepText(s))
	}
	return strings.Join(lines, "\n")
}

func (w *trial) stepText(s lead.Step) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", s.NodeID, s.NodeType)
	if s.Scheduled {
		b.WriteString(" scheduled")
	}
	fmt.Fprintf(&b, " %s %q due %s, %s to %s", s.Status, s.Outcome, w.after(s.ScheduledAt), w.after(s.EnteredAt), w.after(s.ExitedAt))
	if s.CallID+s.Error != "" || len(s.Data) > 0 {
		fmt.Fprintf(&b, ", call %q error %q data %s", s.CallID, modelWording(s.Error), s.Data)
	}
	for _, a := range s.Attempts {
		fmt.Fprintf(&b, "; %d %s %s to %s", a.Number, a.Status, w.after(a.StartedAt), w.after(a.EndedAt))
		for _, extra := range []struct {
			name string
			is   bool
		}{
			{"due " + w.after(a.DueAt), !a.DueAt.IsZero()}, {"error " + modelWording(a.Error), a.Error != ""},
			{"call " + a.CallID, a.CallID != ""}, {"redelivered", a.Redelivered},
		} {
			if extra.is {
				b.WriteString(" " + extra.name)
			}
		}
	}
	for _, failure := range s.HookErrors {
		b.WriteString("; hook " + modelWording(failure))
	}
	return b.String()
}

// quiet is how long it takes at most until every removal has ended although
// nobody answers: promise 4. Where workers are few, each attempt may have to
// wait for one of every other lead.
func (s *spec) quiet() time.Duration {
	all := time.Duration(0)
	for _, l := range s.leads {
		n := l.at.node
		once := n.timeout + max(n.delay<<n.attempts, 2*time.Hour)
		all += time.Duration(n.attempts)*once + time.Duration(len(s.hooks))*s.hookTimeout
	}
	return 3 * all // so many attempts there are at a step, at most
}
