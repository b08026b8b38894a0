package postgres_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
)

// Batches of any size leave out those who have a live lead, and nobody else, whatever the
// batches before them had.
func TestOnlyContactsWithALiveLeadAreRefused(t *testing.T) {
	s := open(t, postgres.Options{Schema: schema(t)})
	id, err := lead.NewWorkflowID()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{{Seq: 1, ID: id, Version: 1, Status: lead.WorkflowActive}}}); err != nil {
		t.Fatal(err)
	}
	live := map[int64]int64{} // the lead that each phone has
	last := int64(0)
	enroll := func(from, n int) {
		t.Helper()
		var b store.Batch
		var want []store.Refusal
		var enrolled, steps []int64
		for i := range n {
			last++
			phone := 14150000000 + int64(from+i)
			leadID, err := lead.NewID(store.Millis(1).Time(), last)
			if err != nil {
				t.Fatal(err)
			}
			b.Enroll = append(b.Enroll, store.Enrollment{
				Record:  store.Record{Seq: last, Workflow: 1, Version: 1, State: lead.Enrolled, Wake: 1, LastStep: last},
				Contact: store.Contact{Seq: last, ID: leadID, Phone: phone, ExternalID: "x", Enrolled: 1},
			})
			b.Steps = append(b.Steps, store.Step{Seq: last, Lead: last, Visit: 1})
			if has := live[phone]; has != 0 {
				want = append(want, store.Refusal{Index: i, Live: has})
				continue
			}
			live[phone] = last
			enrolled, steps = append(enrolled, last), append(steps, last)
		}
		first := b.Enroll[0].Record.Seq
		result, err := s.Commit(t.Context(), &b)
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(result.Refused, want) {
			t.Errorf("of phones %d to %d refused %v, want %v", from, from+n-1, result.Refused, want)
		}
		var all, found []int64
		for seq := first; seq <= last; seq++ {
			all = append(all, seq)
		}
		leads, err := s.Load(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		for i := range leads {
			found = append(found, leads[i].Seq)
		}
		if !slices.Equal(found, enrolled) {
			t.Errorf("of phones %d to %d leads %v are stored, want %v", from, from+n-1, found, enrolled)
		}
		found = nil
		rows, err := s.Steps(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			found = append(found, rows[i].Seq)
		}
		if !slices.Equal(found, steps) {
			t.Errorf("of phones %d to %d steps %v are stored, want %v", from, from+n-1, found, steps)
		}
	}
	enroll(0, 300)    // all are new
	enroll(299, 300)  // one is not
	enroll(598, 300)  // nor here, just after that
	enroll(1000, 300) // all are new
	for i := range 25 {
		enroll(2000+10*i, 10)
	}
	enroll(2249, 1)
	enroll(2249, 3)
	enroll(2000, 300)
	got, err := s.Counts(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got[lead.Enrolled] != int64(len(live)) {
		t.Errorf("%d leads are counted, want %d", got[lead.Enrolled], len(live))
	}
}
