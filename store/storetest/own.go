package storetest

import (
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// nothingShared overwrites memory that it passed to the store and got from it: the store
// must not share it.
func nothingShared(s *suite) {
	data := func() []byte { return []byte(`{"a":1}`) }
	w := s.newWorkflow()
	e := s.newLead(w.Seq)
	_, step := s.stepOf(e.Record)
	call := s.callOf(entryOf(e))
	e.Record.LastStep = step.Seq
	// fill has bytes of its own each time.
	fill := func() (store.Workflow, store.Enrollment, store.Step, store.Call, store.Payload) {
		w, e, step, call := w, e, step, call
		w.Definition, e.Record.EngineState, e.Contact.Metadata, step.Detail, call.Data = data(), data(), data(), data(), data()
		return w, e, step, call, store.Payload{Lead: e.Record.Seq, Visit: 7, Data: data()}
	}
	check := func(when string) {
		s.Helper()
		w, e, step, call, payload := fill()
		call.LeadID, call.Phone, call.WorkflowID = e.Contact.ID, e.Contact.Phone, w.ID
		equal(s, "contents "+when, s.contents(), contents{
			Workflows: []store.Workflow{w},
			Leads:     map[int64][]store.Lead{w.Seq: {entryOf(e)}},
			Counts:    map[int64]map[lead.State]int64{w.Seq: {e.Record.State: 1}},
			Steps:     map[int64][]store.Step{e.Record.Seq: {step}},
			Payloads:  map[int64][]store.Payload{e.Record.Seq: {payload}},
			Due:       []store.Record{e.Record},
			Calls:     []store.Call{call},
			Audit:     chained([]store.Audit{{Detail: data()}}),
			Settings:  []store.Setting{{Name: "limits", Value: data()}},
		})
	}
	fw, fe, fs, fc, fp := fill()
	b := store.Batch{
		Workflows: []store.Workflow{fw}, Enroll: []store.Enrollment{fe}, Steps: []store.Step{fs}, Calls: []store.Call{fc},
		Payloads: []store.Payload{fp}, Audit: []store.Audit{{Detail: data()}}, Settings: []store.Setting{{Name: "limits", Value: data()}},
	}
	s.must(b)
	clear(b.Audit[0].Detail)
	clear(b.Settings[0].Value)
	wipe(b.Workflows, b.Steps, b.Calls, b.Payloads)
	wipeEntries(entryOf(b.Enroll[0]))
	check("after the batch was overwritten")

	change := changeOf(fe.Record, func(r *store.Record) { r.Visit++ })
	change.After.EngineState, change.Before.EngineState = data(), data()
	contact := fe.Contact
	contact.Metadata = data()
	s.must(store.Batch{Changes: []store.Change{change}, Contacts: []store.Contact{contact}})
	clear(contact.Metadata)
	clear(change.After.EngineState)
	clear(change.Before.EngineState)
	e.Record = change.After
	check("after the change was overwritten")

	c := s.contents()
	wipe(c.Workflows, c.Steps[e.Record.Seq], c.Calls, c.Payloads[e.Record.Seq])
	wipeEntries(c.Leads[w.Seq]...)
	clear(c.Audit[0].Detail)
	clear(c.Settings[0].Value)
	live, err := s.Live(s.ctx, store.LiveQuery{Phones: []int64{e.Contact.Phone}})
	s.check(err)
	equal(s, "live leads", len(live), 1)
	wipeEntries(live...)
	clear(c.Counts[w.Seq])
	for i := range c.Due {
		clear(c.Due[i].EngineState)
	}
	loaded, err := s.Load(s.ctx, []int64{e.Record.Seq})
	s.check(err)
	wipeEntries(loaded...)
	swept, err := s.Sweep(s.ctx, store.LeadQuery{Workflow: w.Seq})
	s.check(err)
	clear(swept[0].EngineState)
	past, err := s.Steps(s.ctx, []int64{step.Seq})
	s.check(err)
	payloads, err := s.Payloads(s.ctx, e.Record.Seq, nil)
	s.check(err)
	wipe(nil, past, nil, payloads)
	found, err := s.Contacts(s.ctx, []int64{e.Record.Seq})
	s.check(err)
	clear(found[0].Metadata)
	one, err := s.Lead(s.ctx, e.Record.Seq)
	s.check(err)
	entry, steps, payloads, err := s.History(s.ctx, e.Record.Seq)
	s.check(err)
	wipe(nil, steps, nil, payloads)
	wipeEntries(one, entry)
	check("after the answers were overwritten")
}

func wipe(workflows []store.Workflow, steps []store.Step, calls []store.Call, payloads []store.Payload) {
	for i := range payloads {
		clear(payloads[i].Data)
	}
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
	clear(payloads)
}

func wipeEntries(entries ...store.Lead) {
	for _, e := range entries {
		clear(e.EngineState)
		clear(e.Contact.Metadata)
	}
}

// closedStore calls the methods of a store that was closed.
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
		"Load":       func() error { _, err := ended.Load(s.ctx, []int64{seq}); return err },
		"Sweep":      func() error { _, err := ended.Sweep(s.ctx, store.LeadQuery{Workflow: workflow.Seq}); return err },
		"Steps":      func() error { _, err := ended.Steps(s.ctx, []int64{1}); return err },
		"Payloads":   func() error { _, err := ended.Payloads(s.ctx, seq, nil); return err },
		"Contacts":   func() error { _, err := ended.Contacts(s.ctx, []int64{seq}); return err },
		"Due":        func() error { _, err := ended.Due(s.ctx, store.Key{}, store.MaxMillis, 1); return err },
		"Lead":       func() error { _, err := ended.Lead(s.ctx, seq); return err },
		"Leads":      func() error { _, err := ended.Leads(s.ctx, store.LeadQuery{Workflow: workflow.Seq}); return err },
		"CountLeads": func() error { _, err := ended.CountLeads(s.ctx, store.LeadQuery{Workflow: workflow.Seq}); return err },
		"Counts":     func() error { _, err := ended.Counts(s.ctx, workflow.Seq); return err },
		"NodeCounts": func() error { _, err := ended.NodeCounts(s.ctx, workflow.Seq); return err },
		"History":    func() error { _, _, _, err := ended.History(s.ctx, seq); return err },
		"Calls":      func() error { _, err := ended.Calls(s.ctx, store.CallQuery{}); return err },
		"Workflows":  func() error { _, err := ended.Workflows(s.ctx); return err },
		"Settings":   func() error { _, err := ended.Settings(s.ctx); return err },
		"Starts":     func() error { _, err := ended.Starts(s.ctx, store.StartQuery{Key: "calls"}); return err },
		"Audits":     func() error { _, err := ended.Audits(s.ctx, store.AuditQuery{}); return err },
		"Live":       func() error { _, err := ended.Live(s.ctx, store.LiveQuery{Phones: []int64{1}}); return err },
		"Suppressions": func() error {
			_, err := ended.Suppressions(s.ctx, store.SuppressionQuery{})
			return err
		},
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
