package sqlite

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// BenchmarkEnroll is leads a second, enrolled in batches of 1,000 of numbers in no order:
// by a store without suppressions and by one with a million of them, in turns.
func BenchmarkEnroll(b *testing.B) {
	var stores [2]*Store
	for i := range stores {
		s, err := Open(b.Context(), filepath.Join(b.TempDir(), "leads.db"), Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		stores[i] = s
	}
	suppress(b, stores[1], 1_000_000, 10_000)
	var took [2]time.Duration
	for n := 0; b.Loop(); n++ {
		for k := range stores {
			i := (n + k) % 2
			list := storetest.Enrollments(b, stores[i], 1, benchBatch)
			for k := range list {
				list[k].Contact.Phone = 4930_0000_0000 + rand.Int64N(1_000_000_000)
			}
			start := time.Now()
			if _, err := stores[i].Commit(b.Context(), &store.Batch{Enroll: list}); err != nil {
				b.Fatal(err)
			}
			took[i] += time.Since(start)
		}
	}
	leads := float64(b.N) * benchBatch
	b.ReportMetric(leads/took[0].Seconds(), "leads/s")
	b.ReportMetric(leads/took[1].Seconds(), "suppressing-leads/s")
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "ratio")
}

// BenchmarkSuppress is a commit of 500 suppressions, each with an entry of the audit trail,
// in a file that has as many already.
func BenchmarkSuppress(b *testing.B) {
	for _, has := range []int{0, 1_000_000} {
		b.Run(fmt.Sprint("has ", has), func(b *testing.B) {
			s, err := Open(b.Context(), filepath.Join(b.TempDir(), "leads.db"), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			suppress(b, s, has, 10_000)
			b.ResetTimer()
			for b.Loop() {
				suppress(b, s, 500, 500)
			}
			b.ReportMetric(500*float64(b.N)/b.Elapsed().Seconds(), "suppressions/s")
		})
	}
}

// suppress suppresses n numbers in no order.
func suppress(b *testing.B, s *Store, n, size int) {
	b.Helper()
	for ; n > 0; n -= size {
		first, err := s.Reserve(b.Context(), store.SuppressionSequence, size)
		if err != nil {
			b.Fatal(err)
		}
		batch := store.Batch{}
		for i := range int64(size) {
			sup := store.Suppression{
				Seq: first + i, ID: lead.SuppressionIDFrom(time.UnixMilli(1_700_000_000_000), first+i, 1), Phone: 4950_0000_0000 + rand.Int64N(1_000_000_000),
				Created: 1_700_000_000_000, Reason: "asked to", Actor: "import",
			}
			batch.Suppressions = append(batch.Suppressions, sup)
			batch.Audit = append(batch.Audit, store.Audit{
				At: sup.Created, Actor: sup.Actor, Action: "suppress", Reason: sup.Reason, Phone: sup.Phone, Suppression: sup.Seq,
			})
		}
		if _, err := s.Commit(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
	}
}
