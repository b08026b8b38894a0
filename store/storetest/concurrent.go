package storetest

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// wholeBatches changes all leads of a workflow in each batch, one call of each, and as
// many workflows. A reader that finds two different versions has seen half a batch. One
// that finds an older version than was acknowledged before it began has missed a batch.
func wholeBatches(s *suite) {
	const n = 20
	workflow, leads := s.enrolled(n)
	seqs := seqsOf(leads)
	var more store.Batch // its Attempt is the version of a call
	for i := range leads {
		more.Workflows = append(more.Workflows, s.newWorkflow())
		more.Calls = append(more.Calls, s.callOf(leads[i]))
	}
	s.must(more)
	var acknowledged atomic.Int64
	acknowledged.Store(1)

	ctx, cancel := context.WithTimeout(s.ctx, deadline)
	defer cancel()
	done := make(chan struct{})
	var readers sync.WaitGroup
	var reads atomic.Int64
	read := func(question func() (versions []int64, err error)) {
		readers.Go(func() {
			for ended := false; !ended; reads.Add(1) {
				select {
				case <-done:
					ended = true // read once more, to see the last version
				default:
				}
				least := acknowledged.Load()
				versions, err := question()
				if err != nil {
					s.Errorf("read: %v", err)
					return
				}
				if len(versions) != n {
					s.Errorf("read %d leads, want %d", len(versions), n)
					return
				}
				for _, v := range versions {
					if v != versions[0] || v < least {
						s.Errorf("versions %v, want one, at least %d", versions, least)
						return
					}
				}
			}
		})
	}
	read(func() (versions []int64, err error) {
		leads, err := s.Load(ctx, seqs)
		for _, l := range leads {
			versions = append(versions, l.Version)
		}
		return versions, err
	})
	read(func() (versions []int64, err error) {
		records, err := s.Sweep(ctx, store.LeadQuery{Workflow: workflow, Newest: true})
		for _, r := range records {
			versions = append(versions, r.Version)
		}
		return versions, err
	})
	read(func() (versions []int64, err error) {
		entries, err := s.Leads(ctx, store.LeadQuery{Workflow: workflow})
		for _, e := range entries {
			versions = append(versions, e.Version)
		}
		return versions, err
	})
	read(func() (versions []int64, err error) {
		records, err := s.Due(ctx, store.Key{}, store.MaxMillis, n+1)
		for _, r := range records {
			versions = append(versions, r.Version)
		}
		return versions, err
	})
	read(func() (versions []int64, err error) {
		counts, err := s.Counts(ctx, workflow)
		if err == nil && len(counts) != 1 {
			s.Errorf("counts %v, want all leads in one state", counts)
		}
		for _, k := range counts {
			versions = slices.Repeat([]int64{math.MaxInt64}, int(k))
		}
		return versions, err
	})

	read(func() (versions []int64, err error) {
		k, err := s.CountLeads(ctx, store.LeadQuery{Workflow: workflow, States: []lead.State{lead.Enrolled}})
		if err == nil && k != 0 && k != n {
			s.Errorf("%d leads enrolled, want all or none", k)
		}
		return slices.Repeat([]int64{math.MaxInt64}, n), err
	})
	read(func() (versions []int64, err error) {
		calls, err := s.Calls(ctx, store.CallQuery{Workflow: workflow})
		for _, c := range calls {
			versions = append(versions, int64(c.Attempt))
		}
		return versions, err
	})
	read(func() (versions []int64, err error) {
		workflows, err := s.Workflows(ctx)
		for _, w := range workflows {
			if w.Seq != workflow {
				versions = append(versions, w.Version)
			}
		}
		return versions, err
	})

	states := []lead.State{lead.Enrolled, lead.InStep}
	for round := 0; round < 50 || reads.Load() < 500 && !s.Failed(); round++ { // a fast store has to meet readers too
		b := store.Batch{Workflows: more.Workflows, Calls: more.Calls}
		for i := range leads {
			b.Workflows[i].Version++
			b.Calls[i].Attempt++
			change := changeOf(leads[i].Record, func(r *store.Record) { r.State = states[(round+1)%2] })
			if round%3 == 0 {
				change.After.Wake++
			}
			b.Changes = append(b.Changes, change)
			leads[i].Record = change.After
		}
		s.must(b)
		acknowledged.Store(leads[0].Version)
	}
	close(done)
	readers.Wait()
}
