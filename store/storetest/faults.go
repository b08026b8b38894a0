package storetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// stock has a row of each kind that is in the store already.
type stock struct {
	workflow store.Workflow
	lead     store.Lead
	step     store.Step
}

// fault is an invalid row of a batch. It comes last of its kind, so that a store that
// writes while it checks has written many rows before it.
type fault struct {
	name     string
	conflict string // the kind that the ConflictError names; "" for another error
	row      string // the kind that the RowError names; "" for another error
	spoil    func(s *suite, b *store.Batch, has stock)
}

var faults = []fault{
	{"a stale lead", "lead", "", func(s *suite, b *store.Batch, has stock) {
		stale := has.lead.Record
		stale.Version--
		b.Changes = append(b.Changes, changeOf(stale, func(r *store.Record) { r.Visit++ }))
	}},
	{"a lead changed twice", "lead", "", func(s *suite, b *store.Batch, has stock) {
		change := changeOf(has.lead.Record, func(r *store.Record) { r.Visit++ })
		b.Changes = append(b.Changes, change, change)
	}},
	{"a stale workflow", "workflow", "", func(s *suite, b *store.Batch, has stock) {
		has.workflow.Version += 5
		b.Workflows = append(b.Workflows, has.workflow)
	}},
	{"a workflow's number again", "", "workflow", func(s *suite, b *store.Batch, has stock) {
		again := s.newWorkflow()
		again.Seq = has.workflow.Seq
		b.Workflows = append(b.Workflows, again)
	}},
	{"a workflow's id again", "", "workflow", func(s *suite, b *store.Batch, has stock) {
		again := s.newWorkflow()
		again.ID = has.workflow.ID
		b.Workflows = append(b.Workflows, again)
	}},
	{"a lead's number again", "", "lead", func(s *suite, b *store.Batch, has stock) {
		b.Enroll = append(b.Enroll, s.endedLead(has.workflow.Seq, has.lead.Seq))
	}},
	{"a lead's number twice in the batch", "", "lead", func(s *suite, b *store.Batch, has stock) {
		seq := s.next(store.LeadSequence)
		b.Enroll = append(b.Enroll, s.endedLead(has.workflow.Seq, seq), s.endedLead(has.workflow.Seq, seq))
	}},
	{"a step's number again", "", "step", func(s *suite, b *store.Batch, has stock) {
		b.Steps = append(b.Steps, has.step)
	}},
	{"a step's number twice in the batch", "", "step", func(s *suite, b *store.Batch, has stock) {
		_, step := s.stepOf(has.lead.Record)
		b.Steps = append(b.Steps, step, step)
	}},
	{"a call of no lead", "", "call", func(s *suite, b *store.Batch, has stock) {
		call := s.callOf(has.lead)
		call.Lead = 1 << 39
		b.Calls = append(b.Calls, call)
	}},
	{"a contact of no lead", "", "contact", func(s *suite, b *store.Batch, has stock) {
		contact := has.lead.Contact
		contact.Seq = 1 << 39
		b.Contacts = append(b.Contacts, contact)
	}},
	{"a payload of no lead", "", "payload", func(s *suite, b *store.Batch, has stock) {
		b.Payloads = append(b.Payloads, store.Payload{Lead: 1 << 39, Visit: 1, Data: []byte{1}})
	}},
	{"a payload of no visit", "", "payload", func(s *suite, b *store.Batch, has stock) {
		b.Payloads = append(b.Payloads, store.Payload{Lead: has.lead.Seq, Visit: -1, Data: []byte{1}})
	}},
	{"a suppression of nobody", "", "suppression", func(s *suite, b *store.Batch, has stock) {
		b.Suppressions = append(b.Suppressions, s.newSuppression())
	}},
	{"a setting without a name", "", "setting", func(s *suite, b *store.Batch, has stock) {
		b.Settings = append(b.Settings, store.Setting{Value: []byte{1}})
	}},
	{"a start without a key", "", "start", func(s *suite, b *store.Batch, has stock) {
		b.Starts = append(b.Starts, store.Start{At: start, N: 1})
	}},
	{"a start of nothing", "", "start", func(s *suite, b *store.Batch, has stock) {
		b.Starts = append(b.Starts, store.Start{Key: "calls", At: start})
	}},
	{"a payload of a visit that is too high", "", "payload", func(s *suite, b *store.Batch, has stock) {
		b.Payloads = append(b.Payloads, store.Payload{Lead: has.lead.Seq, Visit: lead.MaxVisits + 1, Data: []byte{1}})
	}},
}

// endedLead is a final lead, which no live contact can have refused.
func (s *suite) endedLead(workflow, seq int64) store.Enrollment {
	s.Helper()
	e := s.newLead(workflow)
	e.Record = finish(e.Record).After
	e.Record.Version, e.Record.Seq, e.Contact.Seq = 1, seq, seq
	return e
}

// refused commits a batch that has the fault.
func (s *suite) refused(f fault, b store.Batch, has stock) {
	s.Helper()
	f.spoil(s, &b, has)
	// A RowError must name the lead of the last row.
	var seq int64
	switch f.row {
	case "lead":
		seq = b.Enroll[len(b.Enroll)-1].Record.Seq
	case "step":
		seq = b.Steps[len(b.Steps)-1].Lead
	case "call":
		seq = b.Calls[len(b.Calls)-1].Lead
	case "contact":
		seq = b.Contacts[len(b.Contacts)-1].Seq
	case "payload":
		seq = b.Payloads[len(b.Payloads)-1].Lead
	}
	switch f.conflict {
	case "lead":
		s.conflict(b, f.conflict, has.lead.Seq)
	case "workflow":
		s.conflict(b, f.conflict, has.workflow.Seq)
	default:
		_, err := s.Commit(s.ctx, &b)
		var row *store.RowError
		if !errors.As(err, &row) || errors.Is(err, store.ErrConflict) {
			s.Fatalf("%s: got error %v, want a RowError", f.name, err)
		}
		equal(s, f.name+": kind of the row", row.Kind, f.row)
		equal(s, f.name+": lead of the row", row.Seq, seq)
	}
}

func faultsLeaveNothing(s *suite) {
	for _, f := range faults {
		s.Run(f.name, func(t *testing.T) {
			s := &suite{T: t, factory: s.factory, Store: s.factory.Open(t), ctx: t.Context()}
			workflow, leads := s.seeded(4)
			before := s.contents()
			has := stock{workflow, leads[2], before.Steps[leads[2].Seq][0]}
			// Numbers that were not used may be handed out again after reopening, so
			// each round makes its own.
			var b store.Batch
			var again store.Enrollment
			for round := range 2 {
				if round == 1 {
					s.reopen()
					equal(s, "contents after reopening", s.contents(), before)
				}
				b = s.fullBatch(workflow, leads) // ends leads[1]
				again = s.newLeadOf(workflow.Seq, leads[1].Contact.Phone)
				s.refused(f, b, has)
				equal(s, "contents", s.contents(), before)
				// Nobody's lead has ended.
				equal(s, "refused", s.commit(store.Batch{Enroll: []store.Enrollment{again}}).Refused,
					[]store.Refusal{{Index: 0, Live: leads[1].Seq}})
			}
			s.refused(f, b, has)
			s.must(b) // the refused batch has made no contact live and used no number
			if cmp.Equal(s.contents(), before) {
				s.Error("the good batch changed nothing")
			}
			s.must(store.Batch{Enroll: []store.Enrollment{again}})
		})
	}
}

// A workflow may come, change and change again in one batch.
func workflowTwice(s *suite) {
	w := s.newWorkflow()
	b := store.Batch{Workflows: []store.Workflow{w}}
	for range 2 {
		w.Version, w.Status, w.Name = w.Version+1, lead.WorkflowPaused, w.Name+"!"
		b.Workflows = append(b.Workflows, w)
	}
	s.must(b)
	got, err := s.Workflows(s.ctx)
	s.check(err)
	equal(s, "workflows", got, []store.Workflow{w})
}
