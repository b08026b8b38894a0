package storetest

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

func historyOrder(s *suite) {
	_, leads := s.enrolled(3)
	want := map[int64][]store.Step{}
	for range 5 { // in turns, and two of one lead in a batch
		var b store.Batch
		for i := range leads {
			change, step := s.stepOf(leads[i].Record)
			b.Steps = append(b.Steps, step)
			want[leads[i].Seq] = append(want[leads[i].Seq], step)
			if i == 1 {
				message := step
				message.Seq, message.Prev, message.Kind = s.next(store.StepSequence), step.Seq, store.StepMessage
				change.After.LastStep = message.Seq
				b.Steps = append(b.Steps, message)
				want[leads[i].Seq] = append(want[leads[i].Seq], message)
			}
			b.Changes = append(b.Changes, change)
			leads[i].Record = change.After
		}
		s.must(b)
	}
	s.reopen()
	for _, l := range leads {
		entry, steps, _, err := s.History(s.ctx, l.Seq)
		s.check(err)
		equal(s, "lead", entry, l)
		equal(s, "steps", steps, want[l.Seq])
	}
	// Promise 7: it stays when the lead is final.
	s.must(store.Batch{Changes: []store.Change{finish(leads[0].Record)}})
	_, steps, _, err := s.History(s.ctx, leads[0].Seq)
	s.check(err)
	equal(s, "steps of the final lead", steps, want[leads[0].Seq])
}

// historySnapshot changes and deletes leads while others read them: whoever finds a lead
// finds as many steps as its version says.
func historySnapshot(s *suite) {
	workflow, leads := s.enrolled(1)
	var current atomic.Int64
	current.Store(leads[0].Seq)
	done := make(chan struct{})
	var readers sync.WaitGroup
	var reads atomic.Int64
	for range 3 {
		readers.Go(func() {
			for ended := false; !ended; reads.Add(1) {
				select {
				case <-done:
					ended = true
				default:
				}
				seq := current.Load()
				entry, steps, payloads, err := s.History(s.ctx, seq)
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if err != nil {
					s.Error(err)
					return
				}
				if int64(len(steps)) != entry.Version-1 ||
					len(steps) > 0 && steps[len(steps)-1].Seq != entry.LastStep {
					s.Errorf("version %d, last step %d, and %d steps", entry.Version, entry.LastStep, len(steps))
					return
				}
				if len(steps) != len(payloads) {
					s.Errorf("%d steps and %d payloads", len(steps), len(payloads))
					return
				}
			}
		})
	}
	defer readers.Wait()
	defer close(done)
	r := leads[0].Record
	for round := 0; round < 60 || reads.Load() < 1000 && !s.Failed(); round++ { // a fast store has to meet readers too
		for range 3 {
			change, step := s.stepOf(r)
			payload := store.Payload{Lead: r.Seq, Visit: change.After.Visit, Data: []byte{1}}
			s.must(store.Batch{Changes: []store.Change{change}, Steps: []store.Step{step}, Payloads: []store.Payload{payload}})
			r = change.After
		}
		next := s.newLead(workflow)
		s.must(store.Batch{Enroll: []store.Enrollment{next}, Forget: []int64{r.Seq}})
		r = next.Record
		current.Store(r.Seq)
	}
}

func forgetLeads(s *suite) {
	workflow, leads := s.seeded(6)
	calls := s.contents().Calls
	gone := []int64{leads[5].Seq, leads[1].Seq, 1 << 39, leads[1].Seq} // one unknown, one twice
	check := func() {
		s.Helper()
		got := s.contents()
		equal(s, "leads", seqsOf(got.Leads[workflow.Seq]), []int64{leads[0].Seq, leads[2].Seq, leads[3].Seq, leads[4].Seq})
		equal(s, "counts", got.Counts[workflow.Seq], map[lead.State]int64{lead.Enrolled: 4})
		equal(s, "due", len(got.Due), 4)
		equal(s, "histories", len(got.Steps), 4)
		equal(s, "leads with payloads", len(got.Payloads), 4)
		equal(s, "calls", got.Calls, calls)
		for _, seq := range gone {
			if _, err := s.Lead(s.ctx, seq); !errors.Is(err, store.ErrNotFound) {
				s.Errorf("lead %d: got error %v, want ErrNotFound", seq, err)
			}
		}
		byPhone, err := s.Leads(s.ctx, store.LeadQuery{Workflow: workflow.Seq, Phone: leads[1].Contact.Phone})
		s.check(err)
		equal(s, "leads of a forgotten phone", byPhone, nil)
	}
	s.must(store.Batch{Forget: gone})
	check()
	s.reopen()
	check()

	// A lead that is changed or enrolled in the batch that deletes it.
	change, step := s.stepOf(leads[0].Record)
	fresh := s.newLead(workflow.Seq)
	s.must(store.Batch{
		Changes: []store.Change{change}, Steps: []store.Step{step}, Enroll: []store.Enrollment{fresh},
		Forget: []int64{leads[0].Seq, fresh.Record.Seq},
	})
	counts, err := s.Counts(s.ctx, workflow.Seq)
	s.check(err)
	equal(s, "counts", counts, map[lead.State]int64{lead.Enrolled: 3})

	// They were deleted, not only hidden: the numbers can be written again, and
	// nothing of the old lead shows in the new one.
	again := s.newLead(workflow.Seq)
	again.Record.Seq, again.Contact.Seq = leads[0].Seq, leads[0].Seq
	again.Record.LastStep = step.Seq
	first := step
	first.Seq, first.Prev = step.Prev, 0
	s.must(store.Batch{Enroll: []store.Enrollment{again}, Steps: []store.Step{first, step}})
	entry, steps, payloads, err := s.History(s.ctx, leads[0].Seq)
	s.check(err)
	equal(s, "lead with a number used again", entry, entryOf(again))
	equal(s, "payloads of a lead with a number used again", payloads, nil)
	equal(s, "steps of a lead with a number used again", steps, []store.Step{first, step})
}

func forgetFrees(s *suite) {
	workflow, leads := s.enrolled(2)
	s.must(store.Batch{Forget: []int64{leads[0].Seq}})
	b := store.Batch{Enroll: []store.Enrollment{
		s.newLeadOf(workflow, leads[0].Contact.Phone), s.newLeadOf(workflow, leads[1].Contact.Phone),
	}}
	equal(s, "refused", s.commit(b).Refused, []store.Refusal{{Index: 1, Live: leads[1].Seq}})
}

// reserveBeside reserves on several goroutines while batches are committed.
func reserveBeside(s *suite) {
	workflow, _ := s.enrolled(1)
	const goroutines, times, size = 3, 200, 3
	firsts := make([][]int64, goroutines)
	var reserving sync.WaitGroup
	for i := range firsts {
		reserving.Go(func() {
			for range times {
				first, err := s.Reserve(s.ctx, store.LeadSequence, size)
				if err != nil {
					s.Error(err)
					return
				}
				firsts[i] = append(firsts[i], first)
			}
		})
	}
	for range 20 {
		s.must(store.Batch{Enroll: []store.Enrollment{s.newLead(workflow)}})
	}
	reserving.Wait()
	all := slices.Concat(firsts...)
	slices.Sort(all)
	for i := 1; i < len(all); i++ {
		if all[i] < all[i-1]+size {
			s.Fatalf("%d numbers from %d on were handed out, and %d from %d on", size, all[i-1], size, all[i])
		}
	}
	leads, err := s.Leads(s.ctx, store.LeadQuery{Workflow: workflow})
	s.check(err)
	for _, l := range leads {
		if i, found := slices.BinarySearch(all, l.Seq); found || i > 0 && l.Seq < all[i-1]+size {
			s.Errorf("number %d was handed out twice", l.Seq)
		}
	}
}

func reserveOnce(s *suite) {
	kinds := []store.Sequence{store.LeadSequence, store.StepSequence, store.CallSequence, store.WorkflowSequence, store.SuppressionSequence}
	last := map[store.Sequence]int64{}
	reserve := func(kind store.Sequence, n int) int64 {
		s.Helper()
		first, err := s.Reserve(s.ctx, kind, n)
		s.check(err)
		if first <= last[kind] {
			s.Fatalf("sequence %d: got %d, but %d was handed out before", kind, first, last[kind])
		}
		last[kind] = first + int64(n) - 1
		return first
	}
	for _, kind := range kinds {
		equal(s, "first number of all", reserve(kind, 3), 1)
		equal(s, "the one after three", reserve(kind, 1), 4)
	}
	if _, err := s.Reserve(s.ctx, 0, 1); err == nil {
		s.Error("reserved of no sequence")
	}
	if _, err := s.Reserve(s.ctx, store.LeadSequence, lead.MaxSeq); err == nil {
		s.Error("reserved numbers of leads that fit into no id")
	}

	// A batch with the highest number of each kind; what it uses is used.
	w := s.newWorkflow()
	e := s.newLead(w.Seq)
	change, step := s.stepOf(e.Record)
	call := s.callOf(entryOf(e))
	s.must(store.Batch{Workflows: []store.Workflow{w}, Enroll: []store.Enrollment{e}})
	sup := s.suppressionOf(e.Contact.Phone, "")
	s.must(store.Batch{
		Changes: []store.Change{change}, Steps: []store.Step{step}, Calls: []store.Call{call}, Suppressions: []store.Suppression{sup},
	})
	used := func() {
		last[store.SuppressionSequence] = sup.Seq
		last[store.WorkflowSequence], last[store.LeadSequence] = w.Seq, e.Record.Seq
		last[store.StepSequence], last[store.CallSequence] = step.Seq, call.Seq
	}
	used()
	for _, kind := range kinds {
		reserve(kind, 1)
	}
	s.reopen()
	if s.factory.Reopen != nil {
		used() // those that were not used may come again
	}
	for _, kind := range kinds {
		reserve(kind, 1)
	}
	s.must(store.Batch{Forget: []int64{e.Record.Seq}})
	for _, kind := range kinds {
		reserve(kind, 1)
	}
	s.reopen()
	if s.factory.Reopen != nil {
		used()
	}
	for _, kind := range kinds {
		reserve(kind, 2)
	}
}
