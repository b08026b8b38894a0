package storetest

import (
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// nothingShared overwrites what it gave to the store and what it got from it.
func nothingShared(s *suite) {
	data := func() []byte { return []byte(`{"a":1}`) }
	w := s.newWorkflow()
	e := s.newLead(w.Seq)
	_, step := s.stepOf(e.Record)
	call := s.callOf(entryOf(e))
	e.Record.LastStep = step.Seq
	// fill has bytes of its own each time.
	fill := func() (store.Workflow, store.Enrollment, store.Step, store.Call) {
		w, e, step, call := w, e, step, call
		w.Definition, e.Record.EngineState, e.Contact.Metadata, step.Detail, call.Data = data(), data(), data(), data(), data()
		return w, e, step, call
	}
	check := func(when string) {
		s.Helper()
		w, e, step, call := fill()
		call.LeadID, call.Phone, call.WorkflowID = e.Contact.ID, e.Contact.Phone, w.ID
		equal(s, "contents "+when, s.contents(), contents{
			Workflows: []store.Workflow{w},
			Leads:     map[int64][]store.Lead{w.Seq: {entryOf(e)}},
			Counts:    map[int64]map[lead.State]int64{w.Seq: {e.Record.State: 1}},
			Steps:     map[int64][]store.Step{e.Record.Seq: {step}},
			Due:       []store.Record{e.Record},
			Calls:     []store.Call{call},
		})
	}
	fw, fe, fs, fc := fill()
	b := store.Batch{
		Workflows: []store.Workflow{fw}, Enroll: []store.Enrollment{fe}, Steps: []store.Step{fs}, Calls: []store.Call{fc},
	}
	s.must(b)
	wipe(b.Workflows, b.Steps, b.Calls)
	wipeEntries(entryOf(b.Enroll[0]))
	check("after the batch was overwritten")

	change := changeOf(fe.Record, func(r *store.Record) { r.Visit++ })
	change.After.EngineState, change.Before.EngineState = data(), data()
	s.must(store.Batch{Changes: []store.Change{change}})
	clear(change.After.EngineState)
	clear(change.Before.EngineState)
	e.Record = change.After
	check("after the change was overwritten")

	c := s.contents()
	wipe(c.Workflows, c.Steps[e.Record.Seq], c.Calls)
	wipeEntries(c.Leads[w.Seq]...)
	clear(c.Counts[w.Seq])
	for i := range c.Due {
		clear(c.Due[i].EngineState)
	}
	records, err := s.Records(s.ctx, []int64{e.Record.Seq})
	s.check(err)
	clear(records[0].EngineState)
	found, err := s.Contacts(s.ctx, []int64{e.Record.Seq})
	s.check(err)
	clear(found[0].Metadata)
	one, err := s.Lead(s.ctx, e.Record.Seq)
	s.check(err)
	entry, steps, err := s.History(s.ctx, e.Record.Seq)
	s.check(err)
	wipe(nil, steps, nil)
	wipeEntries(one, entry)
	check("after the answers were overwritten")
}

func wipe(workflows []store.Workflow, steps []store.Step, calls []store.Call) {
	for i := range workflows {
		clear(workflows[i].Definition)
	}
	for i := range steps {
		clear(steps[i].Detail)
	}
	for i := range calls {
		clear(calls[i].Data)
	}
	clear(workflows)
	clear(steps)
	clear(calls)
}

func wipeEntries(entries ...store.Lead) {
	for _, e := range entries {
		clear(e.EngineState)
		clear(e.Contact.Metadata)
	}
}

// closedStore asks the store of a process that has ended.
func closedStore(s *suite) {
	if s.factory.Reopen == nil {
		s.Skip("the store keeps nothing")
	}
	workflow, leads := s.seeded(2)
	before := s.contents()
	ended := s.Store
	b := s.fullBatch(workflow, leads)
	s.reopen()
	seq := leads[0].Seq
	for name, call := range map[string]func() error{
		"Commit":     func() error { _, err := ended.Commit(s.ctx, &b); return err },
		"Probe":      func() error { _, err := ended.Commit(s.ctx, &store.Batch{Ping: true}); return err },
		"Reserve":    func() error { _, err := ended.Reserve(s.ctx, store.LeadSequence, 1); return err },
		"Records":    func() error { _, err := ended.Records(s.ctx, []int64{seq}); return err },
		"Contacts":   func() error { _, err := ended.Contacts(s.ctx, []int64{seq}); return err },
		"Due":        func() error { _, err := ended.Due(s.ctx, store.Key{}, store.MaxMillis, 1); return err },
		"Lead":       func() error { _, err := ended.Lead(s.ctx, seq); return err },
		"Leads":      func() error { _, err := ended.Leads(s.ctx, store.LeadQuery{Workflow: workflow.Seq}); return err },
		"CountLeads": func() error { _, err := ended.CountLeads(s.ctx, store.LeadQuery{Workflow: workflow.Seq}); return err },
		"Counts":     func() error { _, err := ended.Counts(s.ctx, workflow.Seq); return err },
		"History":    func() error { _, _, err := ended.History(s.ctx, seq); return err },
		"Calls":      func() error { _, err := ended.Calls(s.ctx, store.CallQuery{}); return err },
		"Workflows":  func() error { _, err := ended.Workflows(s.ctx); return err },
	} {
		if err := call(); err == nil {
			s.Errorf("%s of a store that was closed: got no error", name)
		}
	}
	equal(s, "contents", s.contents(), before)
	s.must(s.fullBatch(workflow, leads))
}

func twoStores(s *suite) {
	other := &suite{T: s.T, factory: s.factory, Store: s.factory.Open(s.T), ctx: s.ctx}
	s.seeded(3)
	equal(s, "contents of the other store", other.contents(), contents{})
	other.seeded(2)
	equal(s, "leads", len(s.contents().Due), 3)
	equal(s, "leads of the other store", len(other.contents().Due), 2)
}
