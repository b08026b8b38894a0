package model

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/lead"
)

// This file compares the engine with the model.

// called compares the call of a handler with the model.
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
	case w.recorded[l] && l.Doing == life.Running:
		delete(w.recorded, l)
	case w.spec.MayBegin(l, w.spec.Now):
		w.spec.Begin(l, w.spec.Now)
	default:
		w.t.Fatalf("a handler was called for %s, while it is %s at %s", what, l.State, l.At.NodeID)
	}
	a := l.Begun()
	if c.ask.Redelivered && w.doubt {
		w.spec.BegunBefore(l)
	}
	if l.At.ID.IsZero() {
		l.At.ID = c.ask.StepID
	}
	want := engine.Attempt{
		WorkflowID: l.Flow.ID, LeadID: l.ID, StepID: l.At.ID, Contact: l.Contact, Node: c.ask.Node, Number: a.Number,
		IdempotencyKey: fmt.Sprintf("%s/%d", l.At.ID, a.Number), Redelivered: a.Redelivered, Deadline: l.Deadline,
	}
	w.equal("the handler of "+l.String()+" is asked", w.askText(c.ask), w.askText(want))
	message := ""
	if l.At.Scheduled {
		message = string(l.At.Text)
	}
	if c.ask.Node.ID != l.At.NodeID || (c.ask.Scheduled != nil) != l.At.Scheduled ||
		c.ask.Scheduled != nil && string(c.ask.Scheduled.Data) != message {
		w.t.Fatalf("the handler of %s is asked for the message %v at %s, not %q at %s", l, c.ask.Scheduled, c.ask.Node.ID, message, l.At.NodeID)
	}
	if !c.at.Equal(w.spec.Now) {
		w.t.Fatalf("a handler was called for %s at %s, not at %s", what, w.text.After(c.at), w.text.After(w.spec.Now))
	}
	w.promises.begun(w, l, c)
	w.t.Logf("%s: %s begins at %s", w.text.After(w.spec.Now), l, l.At.NodeID)
	w.calls[l] = c
	for what, is := range map[string]bool{
		"attempts": true, "redelivered": c.ask.Redelivered, "retries": a.Number > 1 && !c.ask.Redelivered,
		"messages": l.At.Scheduled, "attempts while pending": l.State == lead.PendingRemoval,
	} {
		if is {
			w.tally[what]++
		}
	}
}

func (w *trial) askText(a engine.Attempt) string {
	return w.named(fmt.Errorf("step %s attempt %d until %s, redelivered %t, key %s, %s %v",
		a.StepID, a.Number, w.text.After(a.Deadline), a.Redelivered, a.IdempotencyKey, a.Contact.PhoneNumber, a.Contact.Metadata))
}

// hookCalled compares the call of a hook with the model.
func (w *trial) hookCalled(h *heldHook) {
	w.t.Helper()
	l := w.leadOf(h.ask.Lead.ID)
	if l == nil || w.spec.HookDue(l) != h.name {
		w.t.Fatalf("the hook %s was called for %s, who is %s", h.name, h.ask.Lead.PhoneNumber, h.ask.Lead.State)
	}
	if fmt.Sprint(h.ask.Lead.Metadata) == fmt.Sprint(l.Contact.Metadata) {
		l.Told.Contact = l.Contact // updated since the step ended, and before its hooks were called, or called again
	}
	if h.ask.Lead.Hold == nil && l.Hold == nil {
		l.Told.Hold = nil // it was over when the hook was called again, after a crash
	}
	w.equal("the lead that a hook is told of", w.text.Lead(h.ask.Lead), w.text.Lead(l.Told))
	w.equal("the step that a hook is told of", w.text.Step(h.ask.Step), w.text.Step(l.At.Step))
	l.HookSince = w.spec.Now
	w.hooks[l] = h
}

// learnLeads finds the ids of leads whose enrollment was not acknowledged, because the
// process died during it.
func (w *trial) learnLeads() {
	w.t.Helper()
	for _, f := range w.spec.Flows {
		var leads []*life.Lead
		unknown := false
		for _, l := range w.spec.Leads {
			if l.Flow == f {
				leads = append(leads, l)
				unknown = unknown || l.ID.IsZero()
			}
		}
		if !unknown || f.Deleted {
			continue
		}
		found := w.listed(f)
		if len(found) != len(leads) {
			w.t.Fatalf("%s has %d leads, want %d", f.Name, len(found), len(leads))
		}
		found = slices.DeleteFunc(found, func(one lead.Lead) bool { return w.leadOf(one.ID) != nil })
		for _, l := range leads {
			if l.ID.IsZero() {
				l.ID = found[0].ID
				found = found[1:]
			}
		}
	}
}

func (w *trial) listed(f *life.Flow) []lead.Lead {
	w.t.Helper()
	found, err := w.eng.Leads(context.Background(), f.ID, engine.LeadFilter{})
	if err != nil {
		w.t.Fatalf("Leads: %s", w.named(err))
	}
	return found
}

// check compares everything that can be read with the model, and checks the promises
// against everything that was seen.
func (w *trial) check() {
	w.t.Helper()
	w.settle()
	calls := w.readLog()
	for _, f := range w.spec.Flows {
		w.checkFlow(f)
	}
	w.checkLog(calls)
	w.checkSuppressions()
	if w.gate.accepted {
		w.t.Fatal("the store has taken a batch that was decided on a stale version")
	}
	for _, r := range w.removals {
		select {
		case <-r.Done():
			if !r.lead.State.Final() {
				w.t.Fatalf("the removal of %s is done, but it is %s", r.lead, r.lead.State)
			}
		default:
			if r.lead.State.Final() {
				w.t.Fatalf("the removal of %s is not done, but it is %s", r.lead, r.lead.State)
			}
		}
	}
	w.promises.check(w)
}

// checkFlow checks a workflow and its leads.
func (w *trial) checkFlow(f *life.Flow) {
	w.t.Helper()
	ctx := context.Background()
	got, err := w.eng.Workflow(ctx, f.ID)
	if f.Deleted {
		w.expectRefusal("read "+f.Name, err, missing("workflow", f.ID.String(), ""))
		return
	}
	if err != nil || got.Status != f.Status {
		w.t.Fatalf("%s is %s, %s; want %s", f.Name, got.Status, w.named(err), f.Status)
	}
	for _, s := range lead.States() {
		want := int64(w.spec.Count(f, s))
		n, err := w.eng.CountLeads(ctx, f.ID, engine.LeadFilter{States: []lead.State{s}})
		if err != nil || n != want || got.Counts[s] != want {
			w.t.Fatalf("%s counts %d and %d leads as %s, want %d", f.Name, n, got.Counts[s], s, want)
		}
	}
	list := w.listed(f)
	for _, l := range w.spec.Leads {
		if l.Flow != f {
			continue
		}
		// In no particular order: whoever is suppressed for a channel is enrolled after
		// the others of a list.
		at := slices.IndexFunc(list, func(one lead.Lead) bool { return one.ID == l.ID })
		if at < 0 {
			w.t.Fatalf("%s is not listed", l)
		}
		is := w.read(l)
		view, listed := w.spec.View(l), list[at]
		if w.spec.Vague(l, is.Lead.NextActionAt) {
			is.Lead.NextActionAt, listed.NextActionAt, view.NextActionAt = w.spec.Now, w.spec.Now, w.spec.Now
		}
		want := w.text.Lead(view)
		w.equal(l.String(), w.text.Lead(is.Lead), want)
		w.equal(l.String()+" as it is listed", w.text.Lead(listed), want)
		list = slices.Delete(list, at, at+1)
		w.checkHistory(l, is)
	}
	if len(list) != 0 {
		w.t.Fatalf("%s lists %d leads too many", f.Name, len(list))
	}
}

func (w *trial) checkHistory(l *life.Lead, is life.Sight) {
	w.t.Helper()
	w.equal("the history of "+l.String(), w.text.History(is.Steps), w.text.History(w.spec.History(l)))
	for i, st := range l.Steps {
		if st.ID.IsZero() {
			st.ID = is.Steps[i].ID
		} else if st.ID != is.Steps[i].ID {
			w.t.Fatalf("step %d of %s has another id than before", i, l)
		}
	}
	is.Calls = w.log[l.ID]
	w.promises.seen(w, l, is)
}

// readLog reads the call log.
func (w *trial) readLog() []lead.Call {
	w.t.Helper()
	calls, _, err := w.eng.Calls(context.Background(), engine.CallFilter{})
	if err != nil {
		w.t.Fatalf("Calls: %s", w.named(err))
	}
	w.log = map[lead.ID][]lead.Call{}
	for _, l := range w.spec.Leads {
		w.log[l.ID] = []lead.Call{}
	}
	for _, c := range calls {
		w.log[c.LeadID] = append(w.log[c.LeadID], c)
	}
	return calls
}

// checkLog checks the call log: an entry for each attempt at a call, in the
// order in which they were begun at first.
func (w *trial) checkLog(calls []lead.Call) {
	w.t.Helper()
	var got, want []string
	for _, c := range calls {
		got = append(got, w.text.Call(c))
	}
	if !slices.IsSortedFunc(calls, func(a, b lead.Call) int { return w.spec.FirstBegun(a).Compare(w.spec.FirstBegun(b)) }) {
		w.t.Fatalf("the call log is not in order:\n%s", strings.Join(got, "\n"))
	}
	for _, l := range w.spec.Leads {
		for _, c := range w.spec.Calls(l) {
			want = append(want, w.text.Call(c))
		}
	}
	// Those that began in the same batch are in no particular order.
	slices.Sort(got)
	slices.Sort(want)
	w.equal("the call log", strings.Join(got, "\n"), strings.Join(want, "\n"))
}

func (w *trial) equal(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Fatalf("%s at %s:\n%s\nwant:\n%s", what, w.text.After(w.spec.Now), got, want)
	}
}
