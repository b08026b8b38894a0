package storetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

func emptyStore(s *suite) {
	equal(s, "contents", s.contents(), contents{})
	if _, err := s.Lead(s.ctx, 1); !errors.Is(err, store.ErrNotFound) {
		s.Errorf("Lead: got error %v, want ErrNotFound", err)
	}
	if _, _, _, err := s.History(s.ctx, 1); !errors.Is(err, store.ErrNotFound) {
		s.Errorf("History: got error %v, want ErrNotFound", err)
	}
	// Numbers may come from a forged id.
	for _, seq := range []int64{0, -1, math.MinInt64, math.MaxInt64} {
		if _, err := s.Lead(s.ctx, seq); !errors.Is(err, store.ErrNotFound) {
			s.Errorf("Lead %d: got error %v, want ErrNotFound", seq, err)
		}
	}
	nobody := []int64{1, 2, 0, -1, math.MinInt64, math.MaxInt64}
	for _, seqs := range [][]int64{nobody, nil} {
		leads, err := s.Load(s.ctx, seqs)
		s.check(err)
		equal(s, "leads", leads, nil)
		contacts, err := s.Contacts(s.ctx, seqs)
		s.check(err)
		equal(s, "contacts", contacts, nil)
		steps, err := s.Steps(s.ctx, seqs)
		s.check(err)
		equal(s, "steps", steps, nil)
	}
	for _, seq := range nobody {
		for _, visits := range [][]int32{nil, {}, {1, -1, math.MaxInt32}} {
			payloads, err := s.Payloads(s.ctx, seq, visits)
			s.check(err)
			equal(s, "payloads", payloads, nil)
		}
	}
	n, err := s.CountLeads(s.ctx, store.LeadQuery{Workflow: 1})
	s.check(err)
	equal(s, "count", n, 0)
}

func everyField(s *suite) {
	bytes := make([]byte, 256) // every byte there is, 0 first
	for i := range bytes {
		bytes[i] = byte(i)
	}
	const words = "o'clock \"☎\"\n\x00; --"
	w := s.newWorkflow()
	w.Description, w.Definition, w.Updated, w.Deleted = words, bytes, start+9, true
	e := s.newLead(w.Seq)
	step := store.Step{
		Seq: s.next(store.StepSequence), Lead: e.Record.Seq, Visit: lead.MaxVisits, Node: 1<<31 - 1,
		Kind: store.StepMessage, Status: lead.StepCancelled, Attempts: 3, Entered: 4, Due: 5, Started: 6, Exited: 7,
		Outcome: words, Detail: bytes,
	}
	e.Record = store.Record{
		Seq: e.Record.Seq, Workflow: w.Seq, Version: 1, State: lead.PendingRemoval, Phase: store.PhaseHooks,
		Node: 1<<31 - 1, Visit: 4, Visits: 5, Attempt: 6, Entered: 7, Due: 8, Started: 9, Deadline: 10,
		Wake: store.MaxMillis - 1, LastStep: step.Seq, Updated: 12, Outcome: words, EngineState: bytes,
	}
	e.Contact = store.Contact{
		Seq: e.Record.Seq, ID: e.Contact.ID, Phone: 999999999999999, ExternalID: words, TimeZone: "Europe/Berlin",
		Metadata: bytes, Enrolled: 13,
	}
	call := store.Call{
		Seq: s.next(store.CallSequence), Lead: e.Record.Seq, Workflow: w.Seq, Visit: 4, Entered: 7, Attempt: 2,
		NodeID: words, Status: lead.StepFailed, Started: 14, Ended: 15, CallID: words, Outcome: words, Error: words,
		Data: bytes,
	}
	payload := store.Payload{Lead: e.Record.Seq, Visit: lead.MaxVisits, Data: bytes}
	s.must(store.Batch{
		Workflows: []store.Workflow{w}, Enroll: []store.Enrollment{e}, Steps: []store.Step{step}, Calls: []store.Call{call},
		Payloads: []store.Payload{payload},
	})
	call.LeadID, call.Phone, call.WorkflowID = e.Contact.ID, e.Contact.Phone, w.ID
	check := func() {
		s.Helper()
		found, err := s.Contacts(s.ctx, []int64{e.Record.Seq})
		s.check(err)
		equal(s, "contacts", found, []store.Contact{e.Contact})
		equal(s, "contents", s.contents(), contents{
			Workflows: []store.Workflow{w},
			Leads:     map[int64][]store.Lead{w.Seq: {entryOf(e)}},
			Counts:    map[int64]map[lead.State]int64{w.Seq: {e.Record.State: 1}},
			Steps:     map[int64][]store.Step{e.Record.Seq: {step}},
			Payloads:  map[int64][]store.Payload{e.Record.Seq: {payload}},
			Due:       []store.Record{e.Record},
			Calls:     []store.Call{call},
		})
		entry, err := s.Lead(s.ctx, e.Record.Seq)
		s.check(err)
		equal(s, "lead", entry, entryOf(e))
	}
	check()
	s.reopen()
	check()

	// A change sets every field but the key.
	change := store.Change{Before: e.Record, After: store.Record{
		Seq: e.Record.Seq, Workflow: w.Seq, Version: 2, State: lead.InStep, Phase: store.PhaseRunning,
		Node: 21, Visit: 22, Visits: 23, Attempt: 24, Entered: 25, Due: 26, Started: 27, Deadline: 28,
		Wake: 29, LastStep: step.Seq, Updated: 31, Outcome: "", EngineState: nil,
	}}
	w.Version, w.Status, w.Name, w.Description = 2, lead.WorkflowPaused, "", "another"
	w.Definition, w.Updated, w.Deleted = []byte{0}, start+10, false
	e.Record = change.After
	e.Contact.ExternalID, e.Contact.TimeZone, e.Contact.Metadata = "", "Asia/Kolkata", []byte{1}
	payload.Data = []byte{2}
	s.must(store.Batch{
		Workflows: []store.Workflow{w}, Changes: []store.Change{change}, Contacts: []store.Contact{e.Contact},
		Payloads: []store.Payload{payload},
	})
	check()
	s.reopen()
	check()
}

func emptyBatch(s *suite) {
	s.enrolled(2)
	before := s.contents()
	s.must(store.Batch{})
	s.must(store.Batch{Ping: true})
	equal(s, "contents", s.contents(), before)
}

// fullBatch has a valid row of each kind, and a change of each of the leads.
func (s *suite) fullBatch(workflow store.Workflow, leads []store.Lead) store.Batch {
	s.Helper()
	b := store.Batch{Workflows: []store.Workflow{s.newWorkflow()}}
	workflow.Version, workflow.Name = workflow.Version+1, "renamed"
	b.Workflows = append(b.Workflows, workflow)
	for i, l := range leads {
		change, step := s.stepOf(l.Record)
		if i%2 == 1 {
			change.After.State, change.After.Wake, change.After.Phase = lead.Removed, 0, store.PhaseEnded
		}
		b.Changes, b.Steps, b.Calls = append(b.Changes, change), append(b.Steps, step), append(b.Calls, s.callOf(l))
		l.Contact.TimeZone = "Europe/Dublin"
		b.Contacts = append(b.Contacts, l.Contact)
		b.Payloads = append(b.Payloads, store.Payload{Lead: l.Seq, Visit: 1}, store.Payload{Lead: l.Seq, Visit: 3, Data: []byte("new")})
	}
	b.Enroll = []store.Enrollment{s.newLead(workflow.Seq), s.newLead(b.Workflows[0].Seq)}
	b.Forget = []int64{leads[0].Seq}
	b.Suppressions = []store.Suppression{s.suppressionOf(4930666001, ""), s.suppressionOf(0, "crm-666")}
	b.Settings = []store.Setting{{Name: "limits", Value: []byte("new")}, {Name: "gone"}}
	b.Starts = []store.Start{{Key: "calls", At: start, N: 1}, {Key: "people", Phone: 4930555001, At: start, N: 2}}
	b.ForgetStarts = []store.ForgetStarts{{Key: "calls", Before: start}}
	b.Audit = []store.Audit{{At: start, Action: "remove", Lead: leads[0].Seq}, {At: start, Action: "pause"}}
	return b
}

// seeded has a workflow and leads with steps, calls and payloads.
func (s *suite) seeded(n int) (store.Workflow, []store.Lead) {
	s.Helper()
	_, leads := s.enrolled(n)
	b := store.Batch{}
	for i, l := range leads {
		change, step := s.stepOf(l.Record)
		b.Changes, b.Steps, b.Calls = append(b.Changes, change), append(b.Steps, step), append(b.Calls, s.callOf(l))
		b.Payloads = append(b.Payloads, store.Payload{Lead: l.Seq, Visit: 1, Data: []byte("one")})
		leads[i].Record = change.After
	}
	b.Suppressions = []store.Suppression{s.suppressionOf(4930666002, "")}
	b.Settings = []store.Setting{{Name: "gone", Value: []byte("not yet")}}
	b.Starts = []store.Start{{Key: "calls", At: start - 1, N: 1}, {Key: "people", Phone: 4930555001, At: start, N: 1}}
	b.Audit = []store.Audit{{At: start, Action: "enroll"}}
	s.must(b)
	workflows, err := s.Workflows(s.ctx)
	s.check(err)
	return workflows[0], leads
}

func conflictLeavesNothing(s *suite) {
	workflow, leads := s.seeded(5)
	before := s.contents()
	for i := range leads {
		b := s.fullBatch(workflow, leads)
		b.Changes[i].Before.Version--
		s.conflict(b, "lead", leads[i].Seq)
		equal(s, "contents", s.contents(), before)
	}
	s.reopen()
	equal(s, "contents after reopening", s.contents(), before)
	s.must(s.fullBatch(workflow, leads)) // the failed batches have left nothing behind
	if cmp.Equal(s.contents(), before) {
		s.Error("the good batch changed nothing")
	}
}

func workflowConflict(s *suite) {
	workflow, leads := s.seeded(3)
	before := s.contents()
	for _, off := range []int64{-1, +1, +2} {
		b := s.fullBatch(workflow, leads)
		b.Workflows[1].Version += off
		if b.Workflows[1].Version == 1 { // would be a new workflow
			continue
		}
		s.conflict(b, "workflow", workflow.Seq)
		equal(s, "contents", s.contents(), before)
	}
	unknown := s.newWorkflow()
	unknown.Version = 2
	s.conflict(store.Batch{Workflows: []store.Workflow{unknown}}, "workflow", unknown.Seq)
	s.must(s.fullBatch(workflow, leads))
}

func staleVersion(s *suite) {
	_, leads := s.enrolled(3)
	r := leads[1].Record
	good := changeOf(r, func(r *store.Record) { r.Due++ })
	s.must(store.Batch{Changes: []store.Change{good}})
	edits := map[string]func(*store.Record){
		"a step":        func(r *store.Record) { r.Visit++ },
		"a wait":        func(r *store.Record) { r.Wake += 5 },
		"a start":       func(r *store.Record) { r.State = lead.InStep },
		"a start, wake": func(r *store.Record) { r.State, r.Wake = lead.InStep, r.Wake+5 },
		"an end":        func(r *store.Record) { r.State, r.Wake = lead.Removed, 0 },
	}
	for name, edit := range edits {
		s.Run(name, func(t *testing.T) {
			s := &suite{T: t, Store: s.Store, factory: s.factory, ctx: s.ctx}
			before := s.contents()
			s.conflict(store.Batch{Changes: []store.Change{changeOf(r, edit)}}, "lead", r.Seq) // decided on version 1 once more
			ahead := good.After
			ahead.Version++
			s.conflict(store.Batch{Changes: []store.Change{changeOf(ahead, edit)}}, "lead", r.Seq)
			unknown := r
			unknown.Seq = 1 << 39
			s.conflict(store.Batch{Changes: []store.Change{changeOf(unknown, edit)}}, "lead", unknown.Seq)
			equal(s, "contents", s.contents(), before)
		})
	}
	s.must(store.Batch{Changes: []store.Change{finish(good.After)}})
}

func doneContext(s *suite) {
	workflow, leads := s.seeded(3)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	before := s.contents()
	b := s.fullBatch(workflow, leads)
	switch _, err := s.Commit(ctx, &b); {
	case err == nil:
		if cmp.Equal(s.contents(), before) {
			s.Error("no error, and nothing changed")
		}
	case errors.Is(err, context.Canceled):
		equal(s, "contents", s.contents(), before)
		s.must(b)
	default:
		s.Errorf("got error %v, want context.Canceled", err)
	}
}

func batchUntouched(s *suite) {
	workflow, leads := s.seeded(4)
	b := s.fullBatch(workflow, leads)
	b.Changes[0], b.Changes[3] = b.Changes[3], b.Changes[0] // out of order
	b.Enroll = append(b.Enroll, s.newLeadOf(workflow.Seq, leads[2].Contact.Phone))
	copied := store.Batch{
		Workflows: append([]store.Workflow(nil), b.Workflows...), Changes: append([]store.Change(nil), b.Changes...),
		Enroll: append([]store.Enrollment(nil), b.Enroll...), Steps: append([]store.Step(nil), b.Steps...),
		Calls: append([]store.Call(nil), b.Calls...), Forget: append([]int64(nil), b.Forget...),
		Contacts: append([]store.Contact(nil), b.Contacts...), Payloads: append([]store.Payload(nil), b.Payloads...),
		Suppressions: slices.Clone(b.Suppressions), Settings: slices.Clone(b.Settings), Audit: slices.Clone(b.Audit),
		Starts: slices.Clone(b.Starts), ForgetStarts: slices.Clone(b.ForgetStarts),
	}
	s.commit(b)
	equal(s, "batch", b, copied)
	before := s.contents()
	for i := range b.Workflows {
		clear(b.Workflows[i].Definition) // the store keeps nothing of it
	}
	clear(b.Settings[0].Value)
	equal(s, "contents", s.contents(), before)
}
