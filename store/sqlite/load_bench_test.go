package sqlite

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// BenchmarkLoopUnderReaders is how long an engine's loop takes for one lead of
// 400,000, to load it and to commit its change: alone, and beside eight users who
// list and count without a pause.
func BenchmarkLoopUnderReaders(b *testing.B) {
	const leads, readers, nodes = 400_000, 8, 6
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "leads.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	records := make([]store.Record, 0, leads)
	for len(records) < leads {
		list := storetest.Enrollments(b, s, 1, 10_000)
		for i := range list {
			r := &list[i].Record
			r.Node = int32(r.Seq / 7 % nodes)
			if r.Seq%100 > 0 { // few are on the move
				r.Phase, r.State = store.PhaseWaiting, lead.Enrolled
			}
			records = append(records, *r)
		}
		if _, err := s.Commit(b.Context(), &store.Batch{Enroll: list}); err != nil {
			b.Fatal(err)
		}
	}
	one := func() (load, commit time.Duration) {
		r := &records[rand.IntN(leads)]
		start := time.Now()
		found, err := s.Load(b.Context(), []int64{r.Seq})
		load = time.Since(start)
		if err != nil || len(found) != 1 {
			b.Fatal(found, err)
		}
		after := found[0].Record
		after.Version++
		start = time.Now()
		if _, err := s.Commit(b.Context(), &store.Batch{Changes: []store.Change{{Before: found[0].Record, After: after}}}); err != nil {
			b.Fatal(err)
		}
		return load, time.Since(start)
	}
	node := int32(3)
	for _, users := range []struct {
		name string
		ask  func(ctx context.Context) error
	}{
		{"nobody", nil},
		{"counts by node", func(ctx context.Context) error {
			_, err := s.CountLeads(ctx, store.LeadQuery{Workflow: 1, Node: &node})
			return err
		}},
		{"lists by node", func(ctx context.Context) error {
			_, err := s.Leads(ctx, store.LeadQuery{Workflow: 1, Node: &node, After: rand.Int64N(leads), Limit: 100})
			return err
		}},
		{"deep pages", func(ctx context.Context) error {
			_, err := s.Leads(ctx, store.LeadQuery{Workflow: 1, Offset: leads / 2, Limit: 100})
			return err
		}},
		{"long lists", func(ctx context.Context) error {
			_, err := s.Leads(ctx, store.LeadQuery{Workflow: 1, Node: &node})
			return err
		}},
		{"histories", func(ctx context.Context) error {
			_, _, _, err := s.History(ctx, 1+rand.Int64N(leads))
			return err
		}},
	} {
		b.Run(users.name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			var asking sync.WaitGroup
			var mu sync.Mutex
			answers := 0
			for range readers {
				if users.ask == nil {
					break
				}
				asking.Go(func() {
					for {
						err := users.ask(ctx)
						if ctx.Err() != nil {
							return
						}
						if err != nil {
							b.Error(err)
							return
						}
						mu.Lock()
						answers++
						mu.Unlock()
					}
				})
			}
			var loads, commits []time.Duration
			began := time.Now()
			for b.Loop() {
				load, commit := one()
				loads, commits = append(loads, load), append(commits, commit)
			}
			took := time.Since(began)
			cancel()
			asking.Wait()
			slices.Sort(loads)
			slices.Sort(commits)
			at := func(list []time.Duration, percent int) float64 {
				return float64(list[min(len(list)*percent/100, len(list)-1)].Microseconds())
			}
			b.ReportMetric(at(loads, 50), "load-p50-µs")
			b.ReportMetric(at(loads, 99), "load-p99-µs")
			b.ReportMetric(at(commits, 50), "commit-p50-µs")
			b.ReportMetric(at(commits, 99), "commit-p99-µs")
			b.ReportMetric(float64(answers)/took.Seconds(), "answers/s")
		})
	}
}
