package postgres_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// BenchmarkEnroll is leads a second, enrolled in batches of 1,000 of numbers in no order:
// by a store without suppressions and by one with a million of them, in turns.
func BenchmarkEnroll(b *testing.B) {
	const size = 1000
	var stores [2]*postgres.Store
	for i := range stores {
		stores[i] = open(b, postgres.Options{Schema: schema(b)})
	}
	suppress(b, stores[1], 1_000_000, 10_000)
	var took [2]time.Duration
	b.ResetTimer()
	for n := range b.N {
		for k := range stores {
			i := (n + k) % 2
			list := storetest.Enrollments(b, stores[i], 1, size)
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
	b.ReportMetric(float64(b.N)*size/took[0].Seconds(), "leads/s")
	b.ReportMetric(float64(b.N)*size/took[1].Seconds(), "suppressing-leads/s")
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "ratio")
}

// BenchmarkSuppress is a commit of 500 suppressions, each with an entry of the audit trail.
func BenchmarkSuppress(b *testing.B) {
	s := open(b, postgres.Options{Schema: schema(b)})
	suppress(b, s, 500, 500)
	b.ResetTimer()
	for range b.N {
		suppress(b, s, 500, 500)
	}
	b.ReportMetric(500*float64(b.N)/b.Elapsed().Seconds(), "suppressions/s")
}

// suppress suppresses n numbers in no order.
func suppress(b *testing.B, s *postgres.Store, n, size int) {
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
			batch.Share.Contacts = append(batch.Share.Contacts, store.ContactExpectation{Phone: sup.Phone})
		}
		if _, err := s.Commit(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
	}
}
