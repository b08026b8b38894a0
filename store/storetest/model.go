package storetest

import (
	"cmp"
	"maps"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// model is a simple store made of maps, written to be obviously correct.
type model struct {
	workflows map[int64]store.Workflow
	leads     map[int64]store.Lead
	steps     map[int64][]store.Step // by lead
	calls     map[int64]store.Call
	payloads  map[payloadOf][]byte

	suppressions map[int64]store.Suppression
	settings     map[string][]byte
	audit        []store.Audit
	starts       startLog
}

// payloadOf is the key of a payload.
type payloadOf struct {
	lead  int64
	visit int32
}

func newModel() *model {
	return &model{
		map[int64]store.Workflow{}, map[int64]store.Lead{}, map[int64][]store.Step{}, map[int64]store.Call{}, map[payloadOf][]byte{},
		map[int64]store.Suppression{}, map[string][]byte{}, nil, startLog{},
	}
}

func (m *model) clone() *model {
	c := &model{
		maps.Clone(m.workflows), maps.Clone(m.leads), maps.Clone(m.steps), maps.Clone(m.calls), maps.Clone(m.payloads),
		maps.Clone(m.suppressions), maps.Clone(m.settings), slices.Clone(m.audit), maps.Clone(m.starts),
	}
	for seq, steps := range c.steps {
		c.steps[seq] = slices.Clone(steps)
	}
	return c
}

// apply returns the model after the batch. It does not check for conflicts: the walker
// knows which batches are stale.
func (m *model) apply(b *store.Batch) (*model, store.Result) {
	m = m.clone()
	var result store.Result
	for _, w := range b.Workflows {
		m.workflows[w.Seq] = w
	}
	for _, c := range b.Changes {
		e := m.leads[c.After.Seq]
		e.Record = c.After
		m.leads[c.After.Seq] = e
	}
	refused := map[int64]bool{}
	for i, e := range b.Enroll {
		if by := m.suppressedBy(e); by != nil {
			refused[e.Record.Seq] = true
			result.Refused = append(result.Refused, store.Refusal{Index: i, Suppressed: by})
			continue
		}
		if live := m.liveLead(e.Record.Workflow, e.Contact.Phone); live != 0 {
			refused[e.Record.Seq] = true
			result.Refused = append(result.Refused, store.Refusal{Index: i, Live: live})
			continue
		}
		m.leads[e.Record.Seq] = entryOf(e)
	}
	for _, to := range b.Contacts {
		if l, ok := m.leads[to.Seq]; ok {
			l.Contact.ExternalID, l.Contact.TimeZone, l.Contact.Metadata = to.ExternalID, to.TimeZone, to.Metadata
			m.leads[to.Seq] = l
		}
	}
	for _, step := range b.Steps {
		if !refused[step.Lead] {
			m.steps[step.Lead] = append(m.steps[step.Lead], step)
		}
	}
	for _, c := range b.Calls {
		if refused[c.Lead] {
			continue
		}
		if old, ok := m.calls[c.Seq]; ok {
			c.LeadID, c.Phone = old.LeadID, old.Phone
		} else {
			contact := m.leads[c.Lead].Contact
			c.LeadID, c.Phone = contact.ID, contact.Phone
		}
		c.WorkflowID = m.workflows[c.Workflow].ID
		m.calls[c.Seq] = c
	}
	for _, p := range b.Payloads {
		if key := (payloadOf{p.Lead, p.Visit}); refused[p.Lead] {
			continue
		} else if len(p.Data) > 0 {
			m.payloads[key] = p.Data
		} else {
			delete(m.payloads, key)
		}
	}
	for _, seq := range b.Forget {
		delete(m.leads, seq)
		delete(m.steps, seq)
		maps.DeleteFunc(m.payloads, func(key payloadOf, _ []byte) bool { return key.lead == seq })
	}
	for _, sup := range b.Suppressions {
		if old, ok := m.suppressions[sup.Seq]; ok {
			old.Lifted, old.LiftedBy, old.LiftReason = sup.Lifted, sup.LiftedBy, sup.LiftReason
			sup = old
		}
		m.suppressions[sup.Seq] = sup
	}
	m.starts.apply(b)
	for _, to := range b.Settings {
		if delete(m.settings, to.Name); len(to.Value) > 0 {
			m.settings[to.Name] = to.Value
		}
	}
	for _, a := range b.Audit {
		if !refused[a.Lead] {
			m.audit = append(m.audit, a)
		}
	}
	return m, result
}

func (m *model) suppressedBy(e store.Enrollment) (seqs []int64) {
	for seq, sup := range m.suppressions {
		switch {
		case sup.Lifted != 0, sup.Expires != 0 && sup.Expires <= e.Contact.Enrolled:
		case sup.Workflow != 0 && sup.Workflow != e.Record.Workflow, slices.Contains(e.Knows, seq):
		case sup.Phone == e.Contact.Phone, sup.ExternalID != "" && sup.ExternalID == e.Contact.ExternalID:
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	return seqs
}

func (m *model) sortedSuppressions() []store.Suppression {
	return slices.SortedFunc(maps.Values(m.suppressions), func(a, b store.Suppression) int { return cmp.Compare(a.Seq, b.Seq) })
}

func (m *model) liveLead(workflow, phone int64) int64 {
	for seq, l := range m.leads {
		if l.Workflow == workflow && l.Contact.Phone == phone && !l.State.Final() {
			return seq
		}
	}
	return 0
}

// sorted returns the leads in order of number.
func (m *model) sorted() []store.Lead {
	return slices.SortedFunc(maps.Values(m.leads), func(a, b store.Lead) int { return cmp.Compare(a.Seq, b.Seq) })
}

func (m *model) sortedCalls() []store.Call {
	return slices.SortedFunc(maps.Values(m.calls), func(a, b store.Call) int { return cmp.Compare(a.Seq, b.Seq) })
}

// payloadsOf returns those of the lead that exist among visits, which are in
// order.
func (m *model) payloadsOf(lead int64, visits []int32) (list []store.Payload) {
	for _, visit := range visits {
		if data, ok := m.payloads[payloadOf{lead, visit}]; ok {
			list = append(list, store.Payload{Lead: lead, Visit: visit, Data: data})
		}
	}
	return list
}

func (m *model) contents() contents {
	c := contents{
		Leads: map[int64][]store.Lead{}, Counts: map[int64]map[lead.State]int64{}, Steps: m.steps, Calls: m.sortedCalls(),
		Payloads:     map[int64][]store.Payload{},
		Suppressions: m.sortedSuppressions(), Audit: chained(m.audit),
		Workflows: slices.SortedFunc(maps.Values(m.workflows), func(a, b store.Workflow) int { return cmp.Compare(a.Seq, b.Seq) }),
	}
	for _, name := range slices.Sorted(maps.Keys(m.settings)) {
		c.Settings = append(c.Settings, store.Setting{Name: name, Value: m.settings[name]})
	}
	for _, q := range walkedStarts {
		c.Starts = append(c.Starts, m.starts.matching(q)...)
	}
	for _, l := range m.sorted() {
		c.Leads[l.Workflow] = append(c.Leads[l.Workflow], l)
		if c.Counts[l.Workflow] == nil {
			c.Counts[l.Workflow] = map[lead.State]int64{}
		}
		c.Counts[l.Workflow][l.State]++
		if list := m.payloadsOf(l.Seq, []int32{0, 1, 2, 3}); list != nil {
			c.Payloads[l.Seq] = list
		}
		if !l.State.Final() {
			c.Due = append(c.Due, l.Record)
		}
	}
	slices.SortFunc(c.Due, func(a, b store.Record) int {
		return cmp.Or(cmp.Compare(a.Wake, b.Wake), cmp.Compare(a.Seq, b.Seq))
	})
	return c
}
