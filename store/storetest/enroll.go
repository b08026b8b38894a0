package storetest

import (
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

func refuseStored(s *suite) {
	workflow, leads := s.enrolled(3)
	b := store.Batch{Enroll: []store.Enrollment{
		s.newLead(workflow),
		s.newLeadOf(workflow, leads[2].Contact.Phone),
		s.newLead(workflow),
		s.newLeadOf(workflow, leads[0].Contact.Phone),
	}}
	check := func(b store.Batch) {
		s.Helper()
		equal(s, "refused", s.commit(b).Refused, []store.Refusal{{Index: 1, Live: leads[2].Seq}, {Index: 3, Live: leads[0].Seq}})
	}
	check(b)
	got, err := s.Leads(s.ctx, store.LeadQuery{Workflow: workflow})
	s.check(err)
	equal(s, "leads", got, append(leads, entryOf(b.Enroll[0]), entryOf(b.Enroll[2])))
	s.reopen()
	b.Enroll[0], b.Enroll[2] = s.newLead(workflow), s.newLead(workflow)
	check(b)

	// Only the end of a lead frees its contact.
	for _, state := range []lead.State{lead.InStep, lead.PendingRemoval} {
		change := changeOf(leads[0].Record, func(r *store.Record) { r.State = state })
		leads[0].Record = change.After
		s.must(store.Batch{Changes: []store.Change{change}})
		b.Enroll[0], b.Enroll[2] = s.newLead(workflow), s.newLead(workflow)
		check(b)
	}
}

func refuseInBatch(s *suite) {
	w := s.newWorkflow()
	const phone = 4930123456
	b := store.Batch{Workflows: []store.Workflow{w}}
	for range 3 {
		b.Enroll = append(b.Enroll, s.newLeadOf(w.Seq, phone))
	}
	first := b.Enroll[0].Record.Seq
	equal(s, "refused", s.commit(b).Refused, []store.Refusal{{Index: 1, Live: first}, {Index: 2, Live: first}})
	got, err := s.Leads(s.ctx, store.LeadQuery{Workflow: w.Seq, Phone: phone})
	s.check(err)
	equal(s, "leads", got, []store.Lead{entryOf(b.Enroll[0])})
}

func refusedLeavesNothing(s *suite) {
	workflow, leads := s.enrolled(1)
	refused, welcome := s.newLeadOf(workflow, leads[0].Contact.Phone), s.newLead(workflow)
	b := store.Batch{Enroll: []store.Enrollment{refused, welcome}}
	for i := range b.Enroll {
		_, step := s.stepOf(b.Enroll[i].Record)
		b.Enroll[i].Record.LastStep = step.Seq
		b.Steps = append(b.Steps, step)
		b.Calls = append(b.Calls, s.callOf(entryOf(b.Enroll[i])))
		b.Payloads = append(b.Payloads, store.Payload{Lead: b.Enroll[i].Record.Seq, Visit: 1, Data: []byte{1}})
		b.Contacts = append(b.Contacts, b.Enroll[i].Contact)
		b.Contacts[i].ExternalID = "crm-1"
	}
	b.Enroll[1].Contact.ExternalID = "crm-1" // as it is in the end
	equal(s, "refused", s.commit(b).Refused, []store.Refusal{{Index: 0, Live: leads[0].Seq}})
	got := s.contents()
	equal(s, "leads", got.Leads[workflow], append(leads, entryOf(b.Enroll[1])))
	equal(s, "counts", got.Counts[workflow], map[lead.State]int64{lead.Enrolled: 2})
	equal(s, "steps", got.Steps, map[int64][]store.Step{welcome.Record.Seq: {b.Steps[1]}})
	equal(s, "payloads", got.Payloads, map[int64][]store.Payload{welcome.Record.Seq: {b.Payloads[1]}})
	none, err := s.Payloads(s.ctx, refused.Record.Seq, nil)
	s.check(err)
	equal(s, "payloads of the refused lead", none, nil)
	if len(got.Calls) != 1 || got.Calls[0].Lead != welcome.Record.Seq {
		s.Errorf("calls: got %+v, want the one of lead %d", got.Calls, welcome.Record.Seq)
	}
	// The step was left out, not only hidden: its number can be written.
	change, step := s.stepOf(leads[0].Record)
	step.Seq, change.After.LastStep = b.Steps[0].Seq, b.Steps[0].Seq
	s.must(store.Batch{Changes: []store.Change{change}, Steps: []store.Step{step}})
}

func otherWorkflow(s *suite) {
	_, leads := s.enrolled(1)
	other := s.newWorkflow()
	again := s.newLeadOf(other.Seq, leads[0].Contact.Phone)
	s.must(store.Batch{Workflows: []store.Workflow{other}, Enroll: []store.Enrollment{again}})
	// Its end there changes nothing here.
	s.must(store.Batch{Changes: []store.Change{finish(again.Record)}})
	third := s.newLeadOf(leads[0].Workflow, leads[0].Contact.Phone)
	equal(s, "refused", s.commit(store.Batch{Enroll: []store.Enrollment{third}}).Refused,
		[]store.Refusal{{Index: 0, Live: leads[0].Seq}})
}

func welcomeAfterFinal(s *suite) {
	workflow, leads := s.enrolled(2)
	s.must(store.Batch{Changes: []store.Change{
		finish(leads[0].Record),
		changeOf(leads[1].Record, func(r *store.Record) { r.State, r.Wake = lead.Removed, 0 }),
	}})
	s.reopen()
	var b store.Batch
	for _, l := range leads {
		b.Enroll = append(b.Enroll, s.newLeadOf(workflow, l.Contact.Phone))
	}
	s.must(b)
	got, err := s.Leads(s.ctx, store.LeadQuery{Workflow: workflow, Phone: leads[0].Contact.Phone})
	s.check(err)
	equal(s, "leads of the contact", seqsOf(got), []int64{leads[0].Seq, b.Enroll[0].Record.Seq})
}

func welcomeInBatch(s *suite) {
	workflow, leads := s.enrolled(1)
	again := s.newLeadOf(workflow, leads[0].Contact.Phone)
	s.must(store.Batch{Changes: []store.Change{finish(leads[0].Record)}, Enroll: []store.Enrollment{again}})
	third := s.newLeadOf(workflow, leads[0].Contact.Phone)
	equal(s, "refused", s.commit(store.Batch{Enroll: []store.Enrollment{third}}).Refused,
		[]store.Refusal{{Index: 0, Live: again.Record.Seq}})
}

func enrollFinal(s *suite) {
	workflow, leads := s.enrolled(1)
	phone := leads[0].Contact.Phone
	ended := func() store.Enrollment {
		e := s.newLeadOf(workflow, phone)
		e.Record = finish(e.Record).After
		e.Record.Version = 1
		return e
	}
	equal(s, "refused beside the live lead", s.commit(store.Batch{Enroll: []store.Enrollment{ended()}}).Refused,
		[]store.Refusal{{Index: 0, Live: leads[0].Seq}})
	s.must(store.Batch{Changes: []store.Change{finish(leads[0].Record)}})
	live, late := s.newLeadOf(workflow, phone), ended()
	equal(s, "refused", s.commit(store.Batch{Enroll: []store.Enrollment{ended(), ended(), live, late}}).Refused,
		[]store.Refusal{{Index: 3, Live: live.Record.Seq}})
	counts, err := s.Counts(s.ctx, workflow)
	s.check(err)
	equal(s, "counts", counts, map[lead.State]int64{lead.Enrolled: 1, lead.Completed: 3})
}

func oldEndKeepsNew(s *suite) {
	workflow, leads := s.enrolled(1)
	phone := leads[0].Contact.Phone
	end := finish(leads[0].Record)
	old := store.Enrollment{Record: end.After}
	s.must(store.Batch{Changes: []store.Change{end}})
	live := s.newLeadOf(workflow, phone)
	s.must(store.Batch{Enroll: []store.Enrollment{live}})
	refused := func() {
		s.Helper()
		equal(s, "refused", s.commit(store.Batch{Enroll: []store.Enrollment{s.newLeadOf(workflow, phone)}}).Refused,
			[]store.Refusal{{Index: 0, Live: live.Record.Seq}})
	}
	refused()
	// From final to final, which no machine does, but which is no end.
	s.must(store.Batch{Changes: []store.Change{changeOf(old.Record, func(r *store.Record) { r.State = lead.Removed })}})
	refused()
	s.must(store.Batch{Forget: []int64{old.Record.Seq}})
	refused()
}
