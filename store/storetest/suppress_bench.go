package storetest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// BenchEnroll is leads a second, enrolled in batches of 1,000 of numbers in no order: by a
// store without suppressions and by one with a million of them, in turns.
func BenchEnroll(b *testing.B, open func(b *testing.B) store.Store) {
	const size = 1000
	stores := [2]store.Store{open(b), open(b)}
	Suppress(b, stores[1], 1_000_000, 10_000)
	var took [2]time.Duration
	b.ResetTimer()
	for n := range b.N {
		for k := range stores {
			i := (n + k) % 2
			list := Enrollments(b, stores[i], 1, size)
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
	leads := float64(b.N) * size
	b.ReportMetric(leads/took[0].Seconds(), "leads/s")
	b.ReportMetric(leads/took[1].Seconds(), "suppressing-leads/s")
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "ratio")
}

// BenchSuppress is a commit of 500 suppressions, each with an entry of the audit trail, by
// a store that has as many already.
func BenchSuppress(b *testing.B, s store.Store, has int) {
	Suppress(b, s, has, 10_000)
	b.ResetTimer()
	for range b.N {
		Suppress(b, s, 500, 500)
	}
	b.ReportMetric(500*float64(b.N)/b.Elapsed().Seconds(), "suppressions/s")
}

// Suppress suppresses n numbers in no order, so many in a commit.
func Suppress(tb testing.TB, s store.Store, n, size int) {
	tb.Helper()
	for ; n > 0; n -= size {
		first, err := s.Reserve(tb.Context(), store.SuppressionSequence, size)
		if err != nil {
			tb.Fatal(err)
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
		if _, err := s.Commit(tb.Context(), &batch); err != nil {
			tb.Fatal(err)
		}
	}
}
