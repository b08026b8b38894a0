package storetest

import (
	"github.com/leadflow-go/leadflow/store"
)

// contactUpdate changes contacts: only the fields that may change do.
func contactUpdate(s *suite) {
	workflow, leads := s.enrolled(3)
	change := leads[1].Contact
	change.ExternalID, change.TimeZone, change.Metadata = "crm-7", "Europe/Berlin", []byte(`{"a":1}`)
	stored := change
	change.ID[3]++
	change.Phone, change.Enrolled = change.Phone+1000, change.Enrolled+1
	step, past := s.stepOf(leads[1].Record)
	s.must(store.Batch{Changes: []store.Change{step}, Steps: []store.Step{past}, Contacts: []store.Contact{change}})
	leads[1] = store.Lead{Record: step.After, Contact: stored}
	check := func() {
		s.Helper()
		got, err := s.Leads(s.ctx, store.LeadQuery{Workflow: workflow})
		s.check(err)
		equal(s, "leads", got, leads)
		for _, q := range []store.LeadQuery{
			{ExternalID: "crm-7"}, {ExternalID: "crm-8"}, {Phone: stored.Phone}, {Phone: change.Phone}, {Workflow: workflow, ExternalID: "crm-7"},
		} {
			s.leadsAre(q, leads)
		}
	}
	check()
	s.reopen()
	check()

	// The same external id for several, one of them in the batch that enrolls it.
	e := s.newLead(workflow)
	more := []store.Contact{leads[0].Contact, leads[1].Contact, e.Contact}
	for i := range more {
		more[i].ExternalID, more[i].TimeZone, more[i].Metadata = "crm-8", "", nil
	}
	s.must(store.Batch{Enroll: []store.Enrollment{e}, Contacts: more})
	e.Contact.ExternalID = "crm-8"
	leads = append(leads, entryOf(e))
	leads[0].Contact, leads[1].Contact = more[0], more[1]
	check()

	// And none any more; nor is a deleted lead found by it.
	more[0].ExternalID = ""
	s.must(store.Batch{Contacts: more[:1], Forget: []int64{e.Record.Seq}})
	leads = leads[:3]
	leads[0].Contact = more[0]
	check()
	s.reopen()
	check()
}

func payloadUpdate(s *suite) {
	_, leads := s.enrolled(3)
	want := map[int64][]store.Payload{}
	check := func() {
		s.Helper()
		equal(s, "payloads", s.contents().Payloads, want)
	}
	of := func(i int, visit int32, data string) store.Payload {
		p := store.Payload{Lead: leads[i].Seq, Visit: visit}
		if data != "" {
			p.Data = []byte(data)
		}
		return p
	}
	s.must(store.Batch{Payloads: []store.Payload{
		of(0, 9, "nine"), of(0, 2, "two"), of(2, 2, "two"), of(0, 0, "zero"), of(1, 5, ""), of(0, 1<<22-1, "last"), of(2, 0, "zero"),
	}})
	want[leads[0].Seq] = []store.Payload{of(0, 0, "zero"), of(0, 2, "two"), of(0, 9, "nine"), of(0, 1<<22-1, "last")}
	want[leads[2].Seq] = []store.Payload{of(2, 0, "zero"), of(2, 2, "two")}
	check()
	s.reopen()
	check()
	for _, c := range []struct {
		visits []int32
		want   []store.Payload
	}{
		{nil, want[leads[0].Seq]},
		{[]int32{}, nil},
		{[]int32{9, 3, 2, 9, -1}, want[leads[0].Seq][1:3]},
		{[]int32{1}, nil},
	} {
		got, err := s.Payloads(s.ctx, leads[0].Seq, c.visits)
		s.check(err)
		equal(s, "payloads of some visits", got, c.want)
	}

	// A step of the lead leaves them alone; within a batch the last one counts.
	step, past := s.stepOf(leads[0].Record)
	s.must(store.Batch{Changes: []store.Change{step}, Steps: []store.Step{past}, Payloads: []store.Payload{
		of(0, 2, "again"), of(0, 9, ""), of(0, 7, "seven"), of(0, 7, ""), of(0, 3, ""), of(0, 3, "three"), of(2, 2, ""), of(2, 0, ""),
	}})
	want[leads[0].Seq] = []store.Payload{of(0, 0, "zero"), of(0, 2, "again"), of(0, 3, "three"), of(0, 1<<22-1, "last")}
	delete(want, leads[2].Seq)
	check()

	// They stay when the lead is final, and are deleted with it. A payload of a lead that
	// does not exist can be deleted all the same.
	s.must(store.Batch{Changes: []store.Change{finish(step.After)}})
	check()
	s.must(store.Batch{Payloads: []store.Payload{of(1, 4, "four")}, Forget: []int64{leads[0].Seq, leads[1].Seq}})
	s.must(store.Batch{Payloads: []store.Payload{of(0, 0, "")}})
	clear(want)
	check()
	gone, err := s.Payloads(s.ctx, leads[0].Seq, nil)
	s.check(err)
	equal(s, "payloads of a forgotten lead", gone, nil)
	s.reopen()
	check()
}
