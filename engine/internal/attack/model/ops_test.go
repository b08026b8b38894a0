package model

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// This file has the operations of a trial, which rapid chooses and orders.

const (
	maxFlows = 4
	maxLeads = 14
)

// operations are named after what they do. All are equally likely; one that is listed
// twice is twice as likely.
func (w *trial) operations() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":                     func(*rapid.T) { w.tally["operations"]++; w.check() },
		"create workflow":      w.create,
		"change workflow":      w.changeFlow,
		"change it again":      w.changeFlow,
		"enroll":               w.enroll,
		"enroll again":         w.enroll,
		"enroll many":          w.enrollMany,
		"remove":               w.remove,
		"remove again":         w.remove,
		"remove many":          w.removeMany,
		"hold":                 w.holdLead,
		"release":              w.releaseLead,
		"suppress":             w.suppress,
		"lift":                 w.lift,
		"signal":               w.signal,
		"signal again":         w.signal,
		"a whole person":       w.person,
		"update":               w.update,
		"ask for what is not":  w.askForWhatIsNot,
		"callback":             w.callback,
		"callback again":       w.callback,
		"handler answers":      w.handlerAnswers,
		"handlers answer":      w.handlerAnswers,
		"late answer":          w.lateAnswer,
		"hook answers":         w.hookAnswers,
		"several at once":      w.several,
		"several more at once": w.several,
		"many at once":         w.several,
		"clock forward":        w.clock,
		"clock on":             w.clock,
		"clock further":        w.clock,
		"crash":                w.crashes,
		"die at what is due":   w.dieAtWhatIsDue,
		"shut down":            w.shutDown,
		"second owner":         w.secondOwner,
	}
}

// begin makes a workflow with somebody in it, so that there is something to do.
func (w *trial) begin(t *rapid.T) {
	w.create(t)
	for range rapid.IntRange(1, 3).Draw(t, "leads") {
		w.enroll(t)
	}
}

func (w *trial) create(t *rapid.T) {
	if len(w.spec.Flows) == maxFlows {
		t.Skip("enough workflows")
	}
	f, def := drawFlow(t, fmt.Sprintf("flow %d", len(w.spec.Flows)), w.backend.serverTime)
	got, err := w.eng.CreateWorkflow(context.Background(), def)
	if err != nil {
		t.Fatalf("CreateWorkflow: %v", err)
	}
	f.ID = got.ID
	if w.graphs[f], err = workflow.Compile(def); err != nil {
		t.Fatal(err)
	}
	w.spec.Flows = append(w.spec.Flows, f)
	w.limits = w.limits || slices.ContainsFunc(def.Nodes, func(n workflow.Node) bool { return n.Limits != nil }) || def.Limits != nil
	if rapid.IntRange(0, 7).Draw(t, "stays a draft") < 7 {
		w.alone(w.askStatus(f, "activate"))
	}
}

// anyFlow draws a workflow, one that was deleted too.
func (w *trial) anyFlow(t *rapid.T) *life.Flow {
	if len(w.spec.Flows) == 0 {
		t.Skip("no workflow")
	}
	return w.spec.Flows[rapid.IntRange(0, len(w.spec.Flows)-1).Draw(t, "flow")]
}

// anyLead draws a lead, mostly one with a step in flight.
func (w *trial) anyLead(t *rapid.T) *life.Lead {
	list := w.spec.Leads
	busy := slices.DeleteFunc(slices.Clone(list), func(l *life.Lead) bool { return l.Doing == life.Resting || l.Flow.Deleted })
	live := slices.DeleteFunc(slices.Clone(list), func(l *life.Lead) bool { return l.State.Final() || l.Flow.Deleted })
	switch of := rapid.IntRange(0, 5).Draw(t, "of all"); {
	case of < 3 && len(busy) > 0:
		list = busy
	case of < 5 && len(live) > 0:
		list = live
	}
	if len(list) == 0 {
		t.Skip("no lead")
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(t, "lead")]
}

// changeFlow changes a workflow's status, and sometimes the process dies over it.
func (w *trial) changeFlow(t *rapid.T) {
	f := w.anyFlow(t)
	changes := []string{"pause", "resume", "pause", "resume", "resume", "activate", "cancel", "cancel", "complete", "delete"}
	if f.Status.Final() {
		changes = append(changes, "delete", "delete", "delete", "delete")
	}
	r := w.askStatus(f, rapid.SampledFrom(changes).Draw(t, "change"))
	fates := []fate{fatePass, fatePass, fatePass, fateStale, fateLostBefore, fateLostAfter}
	if f := w.known(rapid.SampledFrom(fates).Draw(t, "fate")); f != fatePass {
		w.together(f, wave{requests: []*request{r}}, wave{})
		return
	}
	w.alone(r)
}

func (w *trial) enroll(t *rapid.T) {
	f := w.anyFlow(t)
	if len(w.spec.Leads) >= maxLeads {
		t.Skip("enough leads")
	}
	c := drawContact(t)
	w.mayRefuse(t, f, c)
	w.alone(w.askEnroll(f, c))
}

// mayRefuse skips the enrollment of a contact that the store will refuse, in a trial with
// limits: the start that the engine notes for it is read after a restart, which is a
// defect.
func (w *trial) mayRefuse(t *rapid.T, f *life.Flow, c lead.Contact) {
	if w.limits && (w.spec.Suppressed(f, c) || w.spec.Barred(f, c) || w.spec.Live(f, c.PhoneNumber) != nil) {
		t.Skip("the store would refuse it")
	}
}

// enrollMany enrolls a stream with duplicate contacts and an invalid phone number.
func (w *trial) enrollMany(t *rapid.T) {
	f := w.anyFlow(t)
	if len(w.spec.Leads) > maxLeads-4 {
		t.Skip("enough leads")
	}
	if w.limits {
		t.Skip("the store might refuse some; see mayRefuse")
	}
	people := rapid.SliceOfN(rapid.Custom(drawContact), 1, 4).Draw(t, "people")
	people = append(people, lead.Contact{PhoneNumber: "nobody"})
	var stream iter.Seq2[lead.Contact, error] = func(yield func(lead.Contact, error) bool) {
		for _, c := range people {
			if !yield(c, nil) {
				return
			}
		}
	}
	var ids []lead.ID
	var errs []error
	report, err := w.eng.EnrollAll(context.Background(), f.ID, stream, engine.OnRow(func(_ int, id lead.ID, err error) {
		ids, errs = append(ids, id), append(errs, err)
	}))
	want := w.mayEnroll(f)
	w.expectRefusal("enroll many in "+f.Name, err, want)
	if want != nil {
		return
	}
	enrolled := 0
	// Whoever is suppressed for a channel is enrolled after the others.
	order := []int{}
	for _, barred := range []bool{false, true} {
		for i, c := range people[:len(people)-1] {
			if w.spec.Barred(f, c) == barred {
				order = append(order, i)
			}
		}
	}
	for _, i := range order {
		c := people[i]
		if w.spec.Suppressed(f, c) {
			w.expectRefusal("enroll "+c.PhoneNumber, errs[i], conflict(lead.ErrSuppressed, f.ID, lead.ID{}, lead.StepID{}, life.AnyText))
			continue
		}
		w.fresh = ids[i]
		fresh, live := w.spec.Enroll(f, c)
		if fresh == nil {
			w.expectRefusal("enroll "+c.PhoneNumber, errs[i], conflict(lead.ErrContactLive, f.ID, live.ID, lead.StepID{}, life.AnyText))
			continue
		}
		w.expectRefusal("enroll "+c.PhoneNumber, errs[i], nil)
		fresh.ID, w.odd[fresh] = ids[i], w.spec.Barred(f, c)
		enrolled++
	}
	w.expectRefusal("enroll nobody", errs[len(people)-1], &lead.InvalidError{})
	if report.Enrolled != enrolled || report.Rejected != len(people)-enrolled {
		t.Fatalf("the report says %d and %d of %d, want %d", report.Enrolled, report.Rejected, len(people), enrolled)
	}
	w.settle()
}

func drawRemoval(t *rapid.T) lead.Removal {
	return lead.Removal{
		SkipRetries: rapid.Bool().Draw(t, "skip retries"),
		Reason:      rapid.SampledFrom([]string{"", "asked to stop"}).Draw(t, "reason"), Actor: "agent",
	}
}

func (w *trial) remove(t *rapid.T) {
	l := w.anyLead(t)
	others := w.promises.others(w, l)
	r := w.askRemove(l, drawRemoval(t))
	check := r.check
	r.check = func() {
		check()
		if !w.limits { // or another may begin in its place
			w.promises.unchanged(w, others)
		}
	}
	w.alone(r)
	if w.calls[l] != nil && rapid.Bool().Draw(t, "then the handler answers") {
		w.answer(l, w.drawAnswer(l, true))
		w.settle()
	}
}

func (w *trial) update(t *rapid.T) {
	w.alone(w.askUpdate(w.anyLead(t), rapid.Bool().Draw(t, "vip")))
}

// removeMany removes all leads of a workflow that match a filter.
func (w *trial) removeMany(t *rapid.T) {
	f := w.anyFlow(t)
	how := drawRemoval(t)
	options := []engine.RemoveOption{engine.Reason(how.Reason), engine.Actor(how.Actor)}
	if how.SkipRetries {
		options = append(options, engine.SkipRetries())
	}
	var filter engine.LeadFilter
	if state := rapid.SampledFrom([]lead.State{0, lead.Enrolled, lead.InStep, lead.PendingRemoval}).Draw(t, "state"); state != 0 {
		filter.States = []lead.State{state}
	}
	if rapid.Bool().Draw(t, "at one node") {
		filter.Node = f.Nodes[rapid.IntRange(0, len(f.Nodes)-1).Draw(t, "node")].ID
	}
	filter.All = filter.States == nil && filter.Node == ""
	var want error
	if f.Deleted {
		want = missing("workflow", f.ID.String(), "")
	}
	n, err := w.eng.RemoveLeads(context.Background(), f.ID, filter, options...)
	w.t.Logf("remove many of %s: %d, %s", f.Name, n, w.named(err))
	w.expectRefusal("remove many of "+f.Name, err, want)
	removed := 0
	for _, l := range w.spec.Leads {
		if l.Flow == f && !f.Deleted && !l.State.Final() && (filter.Node == "" || l.At.NodeID == filter.Node) &&
			(filter.States == nil || filter.States[0] == l.State) {
			w.spec.Remove(l, how)
			w.promises.removed(w, l, l.State, how.SkipRetries)
			removed++
		}
	}
	if n != removed {
		t.Fatalf("%d leads were removed, want %d", n, removed)
	}
	w.settle()
}

// askForWhatIsNot makes requests about unknown things: promise 11.
func (w *trial) askForWhatIsNot(t *rapid.T) {
	l := w.anyLead(t)
	ctx := context.Background()
	unknownLead, unknownFlow := lead.ID{15: 1}, lead.WorkflowID{15: 1}
	wf, id := l.Flow.ID, unknownLead
	want := missing("lead", id.String(), wf.String())
	switch other := w.anyFlow(t); rapid.SampledFrom([]string{"lead", "workflow", "other"}).Draw(t, "unknown") {
	case "workflow":
		wf, id = unknownFlow, l.ID
		want = missing("workflow", wf.String(), "")
	case "other":
		if other == l.Flow {
			t.Skip("the lead's own workflow")
		}
		wf, id = other.ID, l.ID
		want = missing("lead", id.String(), wf.String())
	}
	for _, f := range w.spec.Flows {
		if f.ID == wf && f.Deleted {
			want = missing("workflow", wf.String(), "")
		}
	}
	_, err := w.eng.Remove(ctx, wf, id)
	w.expectRefusal("remove", err, want)
	_, err = w.eng.Lead(ctx, wf, id)
	w.expectRefusal("read", err, want)
	_, err = w.eng.History(ctx, wf, id)
	w.expectRefusal("read the history", err, want)
	step := lead.NewStepID(l.Enrolled, l.ID, 77)
	_, err = w.eng.CompleteStep(ctx, step, engine.Callback{Outcome: "completed"})
	w.expectRefusal("callback for no step", err, missing("step", step.String(), ""))
	w.settle()
}

func drawOutcome(t *rapid.T) life.Callback {
	out := life.Callback{
		Outcome: rapid.SampledFrom([]string{"", "completed", "dnp", "odd"}).Draw(t, "outcome"),
		Attempt: rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(t, "attempt"),
	}
	if rapid.Bool().Draw(t, "with data") {
		out.Data, out.CallID = []byte(scored), "call-back"
	}
	switch rapid.SampledFrom([]string{"", "", "", "", "busy", "later", "final"}).Draw(t, "failed") {
	case "busy":
		out.Outcome, out.Err = "", "busy"
	case "later":
		out.Outcome, out.Err, out.After = "", "busy", 90*time.Minute
	case "final":
		out.Outcome, out.Err, out.Final = "", "busy", true
	}
	return out
}

// callback: in time, early, late, twice, or for a step that has not begun. Often
// it comes twice, the second time perhaps with another outcome.
func (w *trial) callback(t *rapid.T) {
	l := w.anyLead(t)
	st := l.At
	if rapid.IntRange(0, 3).Draw(t, "of any step") == 3 {
		st = l.Steps[rapid.IntRange(0, len(l.Steps)-1).Draw(t, "step")]
	}
	out := drawOutcome(t)
	w.alone(w.askCallback(l, st, out))
	if rapid.Bool().Draw(t, "twice") {
		if rapid.Bool().Draw(t, "another") {
			out = drawOutcome(t)
		}
		w.alone(w.askCallback(l, st, out))
	}
}

// several things that come in while the engine writes, and more while it writes
// those.
func (w *trial) several(t *rapid.T) {
	f := w.known(rapid.SampledFrom([]fate{fatePass, fatePass, fateStale, fateRefused, fateLostBefore, fateLostAfter}).Draw(t, "fate"))
	// Changes of workflows are put off until nothing is being written, so they are
	// not drawn beside others.
	changes := rapid.IntRange(0, 4).Draw(t, "changes of workflows") == 4
	var first, second wave
	if f == fateRefused {
		// The engine tries again a little later, when nothing may be due.
		if next := w.spec.Next(); !next.IsZero() && next.Before(w.spec.Now.Add(time.Second)) {
			t.Skip("something is due")
		}
	} else if !changes {
		first.answers = w.drawAnswers(t, 0)
	}
	answered := map[*life.Lead]bool{}
	for _, g := range first.answers {
		answered[g.lead] = true
	}
	if changes {
		first.requests = w.drawChanges(t)
	} else {
		first.requests = w.drawRequests(t, f, []string{"remove", "callback", "remove", "enroll", "update", "hold", "release", "signal"})
	}
	// What the end of the first batch begins is known where workers abound, nothing is
	// limited and no workflow changes, and a batch that is stale is decided after what waits for it.
	if w.workers >= maxLeads && !w.limits && !changes && (f == fatePass || f.deadly()) && rapid.Bool().Draw(t, "second wave") {
		if rapid.IntRange(0, 3).Draw(t, "changes of workflows") == 3 {
			second.requests = w.drawChanges(t)
			w.together(f, first, second)
			return
		}
		for _, g := range w.drawAnswers(t, 0) {
			if !answered[g.lead] {
				second.answers = append(second.answers, g)
			}
		}
		second.requests = w.drawRequests(t, f, []string{"remove", "callback", "remove", "hold", "signal"})
	}
	w.together(f, first, second)
}

// drawRequests draws requests of some kinds.
func (w *trial) drawRequests(t *rapid.T, f fate, kinds []string) []*request {
	var out []*request
	updated := map[*life.Lead]bool{}
	for range rapid.IntRange(1, 3).Draw(t, "requests") {
		switch rapid.SampledFrom(kinds).Draw(t, "request") {
		case "remove":
			out = append(out, w.askRemove(w.anyLead(t), drawRemoval(t)))
		case "callback":
			// That a step has not started is looked up twice, so the answer would depend
			// on what else is in the batch.
			l := w.anyLead(t)
			if l.Doing == life.Resting {
				t.Skip("nothing is in flight")
			}
			r := w.askCallback(l, l.At, drawOutcome(t))
			if f == fateRefused || f.deadly() {
				r.check = nil // it may be acknowledged already, and then it is again
			}
			out = append(out, r)
		case "enroll":
			f, c := w.anyFlow(t), drawContact(t)
			if w.limits || w.spec.Barred(f, c) {
				t.Skip("enrolling may be refused, or take two batches")
			}
			out = append(out, w.askEnroll(f, c))
		case "hold":
			out = append(out, w.askHold(w.anyLead(t), lead.Hold{Until: w.soon(t, "until"), Reason: "on holiday"}))
		case "release":
			out = append(out, w.askRelease(w.anyLead(t)))
		case "signal":
			r := w.askSignal(w.anyLead(t), rapid.SampledFrom(signals).Draw(t, "signal"), nil)
			if f == fateRefused || f.deadly() {
				r.check = nil // one that is ignored is acknowledged all the same
			}
			out = append(out, r)
		case "update":
			l := w.anyLead(t)
			if updated[l] {
				t.Skip("the second would begin again after the batch, whatever came of that")
			}
			updated[l] = true
			out = append(out, w.askUpdate(l, rapid.Bool().Draw(t, "vip")))
		}
	}
	return out
}

// drawChanges draws changes of workflows.
func (w *trial) drawChanges(t *rapid.T) []*request {
	var out []*request
	for range rapid.IntRange(1, 2).Draw(t, "changes") {
		change := rapid.SampledFrom([]string{"pause", "resume", "resume", "activate", "cancel"}).Draw(t, "change")
		out = append(out, w.askStatus(w.anyFlow(t), change))
	}
	return out
}
