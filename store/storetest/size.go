package storetest

import (
	"bytes"
	"math"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// largeValues writes a megabyte into each field without a small bound, for every other
// lead.
func largeValues(s *suite) {
	w := s.newWorkflow()
	var b store.Batch
	var leads []store.Lead
	var steps []store.Step
	var calls []store.Call
	write := func(size int, letter byte) {
		s.Helper()
		large := bytes.Repeat([]byte{letter}, size)
		text := string(large)
		w.Description, w.Definition = text, large
		b = store.Batch{Workflows: []store.Workflow{w}}
		for i := range leads {
			if i%2 == 1 { // the others stay small
				c := changeOf(leads[i].Record, func(r *store.Record) { r.Outcome, r.EngineState = text, large })
				b.Changes = append(b.Changes, c)
				leads[i].Record = c.After
				calls[i].Outcome, calls[i].Error, calls[i].Data = text, text, large
			}
			b.Calls = append(b.Calls, calls[i])
		}
	}
	check := func() {
		s.Helper()
		s.must(b)
		equal(s, "contents", s.contents(), contents{
			Workflows: []store.Workflow{w},
			Leads:     map[int64][]store.Lead{w.Seq: leads},
			Counts:    map[int64]map[lead.State]int64{w.Seq: {lead.Enrolled: int64(len(leads))}},
			Steps:     stepsByLead(steps),
			Due:       recordsOf(leads),
			Calls:     calls,
		})
		w.Version++
	}
	write(1<<20, 'a')
	for i := range 5 {
		e := s.newLead(w.Seq)
		_, step := s.stepOf(e.Record)
		call := s.callOf(entryOf(e))
		e.Record.LastStep = step.Seq
		if i%2 == 1 {
			e.Record.EngineState, e.Contact.Metadata = w.Definition, w.Definition
			step.Detail, step.Outcome, call.Data = w.Definition, w.Description, w.Definition
		}
		b.Enroll, b.Steps, b.Calls = append(b.Enroll, e), append(b.Steps, step), append(b.Calls, call)
		call.LeadID, call.Phone, call.WorkflowID = e.Contact.ID, e.Contact.Phone, w.ID
		leads, steps, calls = append(leads, entryOf(e)), append(steps, step), append(calls, call)
	}
	check()
	for i, size := range []int{70_000, 1, 2 << 20, 60_000, 0} {
		write(size, byte('b'+i))
		check()
		s.reopen()
	}
	s.must(store.Batch{Forget: seqsOf(leads)})
	equal(s, "due", len(s.contents().Due), 0)
}

func stepsByLead(steps []store.Step) map[int64][]store.Step {
	by := map[int64][]store.Step{}
	for _, step := range steps {
		by[step.Lead] = append(by[step.Lead], step)
	}
	return by
}

func recordsOf(leads []store.Lead) []store.Record {
	var records []store.Record
	for _, l := range leads {
		records = append(records, l.Record)
	}
	return records
}

func contactsOf(leads []store.Lead) []store.Contact {
	var contacts []store.Contact
	for _, l := range leads {
		contacts = append(contacts, l.Contact)
	}
	return contacts
}

// manyLeads uses batches of 1,500 leads with three groups of numbers far from each
// other: numbers that a process has reserved and not used leave gaps.
func manyLeads(s *suite) {
	w := s.newWorkflow()
	var leads []store.Lead
	var calls []store.Call
	var steps []store.Step
	b := store.Batch{Workflows: []store.Workflow{w}}
	n := dose(500) // between two gaps
	for range 3 {
		for _, kind := range []store.Sequence{store.LeadSequence, store.StepSequence, store.CallSequence, store.WorkflowSequence} {
			_, err := s.Reserve(s.ctx, kind, dose(40_000))
			s.check(err)
		}
		for range n {
			e := s.newLead(w.Seq)
			call := s.callOf(entryOf(e))
			b.Enroll, b.Calls = append(b.Enroll, e), append(b.Calls, call)
			call.LeadID, call.Phone, call.WorkflowID = e.Contact.ID, e.Contact.Phone, w.ID
			leads, calls = append(leads, entryOf(e)), append(calls, call)
		}
	}
	s.must(b)
	check := func() {
		s.Helper()
		found, err := s.Leads(s.ctx, store.LeadQuery{Workflow: w.Seq})
		s.check(err)
		equal(s, "leads", found, leads)
		due, err := s.Due(s.ctx, store.Key{}, store.MaxMillis, math.MaxInt)
		s.check(err)
		equal(s, "due", due, recordsOf(leads))
		log, err := s.Calls(s.ctx, store.CallQuery{})
		s.check(err)
		equal(s, "calls", log, calls)
		for i := 0; i < len(leads); i += 99 {
			_, got, _, err := s.History(s.ctx, leads[i].Seq)
			s.check(err)
			equal(s, "steps", got, steps[min(i, len(steps)):min(i+1, len(steps))])
		}
	}
	check()
	b = store.Batch{}
	for i := range leads {
		change, step := s.stepOf(leads[i].Record)
		leads[i].Record = change.After
		b.Changes, b.Steps, steps = append(b.Changes, change), append(b.Steps, step), append(steps, step)
	}
	slices.Reverse(b.Changes)
	s.must(b)
	s.reopen()
	check()

	// Load all numbers, those in the gaps too.
	var seqs []int64
	for seq := range leads[len(leads)-1].Seq + 1000 {
		seqs = append(seqs, seq)
	}
	slices.Reverse(seqs)
	loaded, err := s.Load(s.ctx, seqs)
	s.check(err)
	equal(s, "leads", loaded, leads)
	contacts, err := s.Contacts(s.ctx, seqs)
	s.check(err)
	equal(s, "contacts", contacts, contactsOf(leads))
	for _, i := range []int{0, n - 1, n, 3*n - 2, 3*n - 1} { // both sides of a gap, and the end
		q := store.LeadQuery{Workflow: w.Seq, After: leads[i].Seq, Limit: 2}
		page, err := s.Leads(s.ctx, q)
		s.check(err)
		equal(s, "leads after", page, leads[i+1:min(i+3, len(leads))])
		log, err := s.Calls(s.ctx, store.CallQuery{After: calls[i].Seq, Limit: 2})
		s.check(err)
		equal(s, "calls after", log, calls[i+1:min(i+3, len(calls))])
	}
	page, err := s.Leads(s.ctx, store.LeadQuery{Workflow: w.Seq, After: math.MaxInt64})
	s.check(err)
	equal(s, "leads after all", page, nil)
	log, err := s.Calls(s.ctx, store.CallQuery{After: math.MaxInt64})
	s.check(err)
	equal(s, "calls after all", log, nil)

	s.must(store.Batch{Forget: seqsOf(leads[n/2:])})
	leads, steps = leads[:n/2], steps[:n/2]
	check()
}

// lateNumbers commits the numbers that were reserved last first.
func lateNumbers(s *suite) {
	var workflows []store.Workflow
	var leads []store.Lead
	var calls []store.Call
	var batches []store.Batch
	for range 5 {
		w := s.newWorkflow()
		e := s.newLead(w.Seq)
		call := s.callOf(entryOf(e))
		batches = append(batches, store.Batch{
			Workflows: []store.Workflow{w}, Enroll: []store.Enrollment{e}, Calls: []store.Call{call},
		})
		call.LeadID, call.Phone, call.WorkflowID = e.Contact.ID, e.Contact.Phone, w.ID
		workflows, leads, calls = append(workflows, w), append(leads, entryOf(e)), append(calls, call)
	}
	slices.Reverse(batches)
	for _, b := range batches {
		s.must(b)
	}
	s.reopen()
	got := s.contents()
	equal(s, "workflows", got.Workflows, workflows)
	equal(s, "due", got.Due, recordsOf(leads))
	equal(s, "calls", got.Calls, calls)

	// And within a batch, of one workflow and one phone.
	b := store.Batch{}
	var want []int64
	for range 5 {
		e := s.endedLead(workflows[0].Seq, s.next(store.LeadSequence))
		e.Contact.Phone = 4930222222
		b.Enroll, want = append(b.Enroll, e), append(want, e.Record.Seq)
	}
	slices.Reverse(b.Enroll)
	s.must(b)
	for _, q := range []store.LeadQuery{
		{Workflow: workflows[0].Seq, After: leads[0].Seq},
		{Workflow: workflows[0].Seq, Phone: b.Enroll[0].Contact.Phone},
		{Workflow: workflows[0].Seq, States: []lead.State{lead.Completed}},
	} {
		page, err := s.Leads(s.ctx, q)
		s.check(err)
		equal(s, "leads", seqsOf(page), want)
	}
}
