package storetest

import (
	"fmt"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

func (s *suite) callsAre(q store.CallQuery, all []store.Call) {
	s.Helper()
	var want []store.Call
	for _, c := range all {
		if (q.Workflow == 0 || c.Workflow == q.Workflow) && (q.Lead == 0 || c.Lead == q.Lead) &&
			(q.Phone == 0 || c.Phone == q.Phone) && (q.CallID == "" || c.CallID == q.CallID) && (q.Status == 0 || c.Status == q.Status) &&
			c.Started >= q.From && (q.To == 0 || c.Started < q.To) && c.Seq > q.After {
			want = append(want, c)
		}
	}
	if q.Limit > 0 {
		want = want[:min(q.Limit, len(want))]
	}
	got, err := s.Calls(s.ctx, q)
	s.check(err)
	equal(s, fmt.Sprintf("calls of %+v", q), got, want)
}

func callUpdate(s *suite) {
	w := s.newWorkflow()
	e := s.newLead(w.Seq)
	begun, other := s.callOf(entryOf(e)), s.callOf(entryOf(e))
	s.must(store.Batch{ // the contact comes in the same batch
		Workflows: []store.Workflow{w}, Enroll: []store.Enrollment{e}, Calls: []store.Call{begun, other},
	})
	stored := func(c store.Call) store.Call {
		c.LeadID, c.Phone, c.WorkflowID = e.Contact.ID, e.Contact.Phone, w.ID
		return c
	}
	s.callsAre(store.CallQuery{}, []store.Call{stored(begun), stored(other)})
	ended := begun
	ended.Status, ended.Ended, ended.CallID, ended.Outcome = lead.StepFailed, begun.Started+60_000, "CA2", "busy"
	ended.Error, ended.Data, ended.Started = "no answer", []byte(`{"a":1}`), begun.Started+1
	s.must(store.Batch{Calls: []store.Call{ended}})
	s.reopen()
	s.callsAre(store.CallQuery{}, []store.Call{stored(ended), stored(other)})
	s.callsAre(store.CallQuery{From: ended.Started}, []store.Call{stored(ended)})
	s.callsAre(store.CallQuery{Phone: e.Contact.Phone, Status: lead.StepFailed}, []store.Call{stored(ended)})

	// An attempt may begin and end in one batch.
	again := s.callOf(entryOf(e))
	both := []store.Call{again, again}
	both[1].Status, both[1].Outcome = lead.StepCompleted, "answered"
	s.must(store.Batch{Calls: both})
	s.callsAre(store.CallQuery{After: other.Seq}, []store.Call{stored(both[1])})
}

func callFilters(s *suite) {
	var all []store.Call
	statuses := []lead.StepStatus{lead.StepInProgress, lead.StepCompleted, lead.StepFailed}
	var workflows, seqs, phones []int64
	for range 2 {
		workflow, leads := s.enrolled(3)
		list, err := s.Workflows(s.ctx)
		s.check(err)
		workflows = append(workflows, workflow)
		for i, l := range leads {
			seqs, phones = append(seqs, l.Seq), append(phones, l.Contact.Phone)
			for n := range 2 {
				c := s.callOf(l)
				c.CallID = []string{"", "CA7"}[n] + l.Contact.ExternalID
				c.Status = statuses[i%3]
				c.Started = start + store.Millis(len(all)*7%12) // not in order
				s.must(store.Batch{Calls: []store.Call{c}})
				c.LeadID, c.Phone, c.WorkflowID = l.Contact.ID, l.Contact.Phone, list[len(list)-1].ID
				all = append(all, c)
			}
		}
	}
	for _, window := range [][2]store.Millis{{0, 0}, {start + 3, 0}, {0, start + 8}, {start + 3, start + 8}, {start + 4, start + 4}} {
		for _, status := range append(statuses, 0) {
			for _, page := range [][2]int64{{0, 0}, {all[4].Seq, 0}, {all[1].Seq, 2}} {
				q := store.CallQuery{Status: status, From: window[0], To: window[1], After: page[0], Limit: int(page[1])}
				s.callsAre(q, all)
				q.CallID = "CA7"
				s.callsAre(q, all)
				q.CallID = ""
				for _, q.Workflow = range workflows {
					s.callsAre(q, all)
				}
				for i := range seqs {
					q.Workflow, q.Lead, q.Phone = 0, seqs[i], 0
					s.callsAre(q, all)
					q.Lead, q.Phone = 0, phones[i]
					s.callsAre(q, all)
					q.Workflow, q.Lead = workflows[0], seqs[i]
					s.callsAre(q, all)
					q.CallID = "CA7"
					s.callsAre(q, all)
					q.Workflow, q.Lead, q.CallID = 0, 0, ""
				}
			}
		}
	}
	s.callsAre(store.CallQuery{Workflow: 1 << 40}, all)
}

func callOutlives(s *suite) {
	_, leads := s.seeded(2)
	calls := s.contents().Calls
	s.must(store.Batch{Forget: []int64{leads[0].Seq, leads[1].Seq}})
	s.reopen()
	s.callsAre(store.CallQuery{}, calls)
	s.callsAre(store.CallQuery{Phone: leads[0].Contact.Phone}, calls)
	// The provider may report the end of the call later.
	calls[0].Status, calls[0].Outcome = lead.StepCompleted, "answered"
	s.must(store.Batch{Calls: calls[:1]})
	s.callsAre(store.CallQuery{Lead: leads[0].Seq}, calls)
}

func deletedWorkflow(s *suite) {
	workflow, leads := s.seeded(1)
	calls := s.contents().Calls
	workflow.Version, workflow.Status, workflow.Deleted = workflow.Version+1, lead.WorkflowCancelled, true
	other := s.newWorkflow()
	s.must(store.Batch{Workflows: []store.Workflow{other, workflow}, Forget: []int64{leads[0].Seq}})
	s.reopen()
	got, err := s.Workflows(s.ctx)
	s.check(err)
	equal(s, "workflows", got, []store.Workflow{workflow, other})
	s.callsAre(store.CallQuery{Workflow: workflow.Seq}, calls) // with the workflow's id
}
