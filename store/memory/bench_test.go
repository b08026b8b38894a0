package memory

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/storetest"
)

const benchBatch = 1_000

// BenchmarkCommit is steps a second of the store alone, in batches of 1,000, each
// step a change of a lead and a finished step: of leads in order of number, of
// leads in no order, and of leads as they come due, who then wait for up to a
// day, so that each has another place in the due order.
func BenchmarkCommit(b *testing.B) {
	for _, leads := range []int{20_000, 1_000_000} {
		b.Run(fmt.Sprintf("%d leads in order", leads), func(b *testing.B) {
			commitSteps(b, leads, false, func(_ *Store, records []store.Record, round int) []store.Record {
				from := round * benchBatch % leads
				return records[from : from+benchBatch]
			})
		})
		b.Run(fmt.Sprintf("%d leads in no order", leads), func(b *testing.B) {
			var order []int
			commitSteps(b, leads, false, func(_ *Store, records []store.Record, round int) []store.Record {
				if from := round * benchBatch % leads; from == 0 {
					order = rand.Perm(leads)
				}
				list := make([]store.Record, benchBatch)
				for i := range list {
					list[i] = records[order[(round*benchBatch+i)%leads]]
				}
				return list
			})
		})
		b.Run(fmt.Sprintf("%d leads that wait", leads), func(b *testing.B) {
			commitSteps(b, leads, true, func(s *Store, _ []store.Record, _ int) []store.Record {
				list, err := s.Due(b.Context(), store.Key{}, store.MaxMillis, benchBatch)
				if err != nil {
					b.Fatal(err)
				}
				return list
			})
		})
	}
}

// commitSteps measures nothing but Commit. next returns the leads of a round,
// of all leads, which are in order of number.
func commitSteps(b *testing.B, leads int, wait bool, next func(s *Store, records []store.Record, round int) []store.Record) {
	s := New()
	records := enrollMany(b, s, leads)
	var took time.Duration
	for round := 0; b.Loop(); round++ {
		batch := storetest.StepBatch(b, s, next(s, records, round))
		if wait {
			spread(&batch)
		}
		start := time.Now()
		if _, err := s.Commit(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
		took += time.Since(start)
		for i := range batch.Changes {
			after := &batch.Changes[i].After
			records[after.Seq-1] = *after
		}
	}
	b.ReportMetric(float64(b.N)*benchBatch/took.Seconds(), "steps/s")
}

// BenchmarkMillion is the memory that a million leads take: new ones, and those
// that have gone four steps and wait.
func BenchmarkMillion(b *testing.B) {
	const leads = 1_000_000
	for b.Loop() {
		before := heap()
		s := New()
		enrollMany(b, s, leads)
		b.ReportMetric(float64(heap()-before)/leads, "new-B/lead")
		for round := range 4 * leads / benchBatch {
			seqs := make([]int64, benchBatch)
			for i := range seqs {
				seqs[i] = int64((round*benchBatch+i)%leads + 1)
			}
			leads, err := s.Load(b.Context(), seqs)
			if err != nil {
				b.Fatal(err)
			}
			records := make([]store.Record, len(leads))
			for i, l := range leads {
				records[i] = l.Record
			}
			batch := storetest.StepBatch(b, s, records)
			spread(&batch)
			if _, err := s.Commit(b.Context(), &batch); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/leads, "B/lead")
		runtime.KeepAlive(s)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func enrollMany(b *testing.B, s *Store, n int) []store.Record {
	records := make([]store.Record, 0, n)
	for len(records) < n {
		list := storetest.Enrollments(b, s, 1, 10_000)
		if _, err := s.Commit(b.Context(), &store.Batch{Enroll: list}); err != nil {
			b.Fatal(err)
		}
		for _, e := range list {
			records = append(records, e.Record)
		}
	}
	return records
}

// spread has the leads wake at some time within a day.
func spread(batch *store.Batch) {
	for i := range batch.Changes {
		batch.Changes[i].After.Wake += 1 + store.Millis(rand.Int64N(24*60*60*1000))
	}
}
