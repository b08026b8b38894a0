package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite/raw"
	"github.com/leadflow-go/leadflow/store/storetest"
)

const (
	benchLeads = 20_000
	benchBatch = 1_000
)

// BenchmarkCommit is steps a second of the store next to the least that SQLite
// can be asked to do for a step, on the same disk with the same durability; the
// two take turns, so that both meet the disk's good and bad moments.
func BenchmarkCommit(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(b.Context(), filepath.Join(dir, "leads.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	list := storetest.Enrollments(b, s, 1, benchLeads)
	records := make([]store.Record, benchLeads)
	for i, e := range list {
		records[i] = e.Record
	}
	if _, err := s.Commit(b.Context(), &store.Batch{Enroll: list}); err != nil {
		b.Fatal(err)
	}
	lean, err := raw.NewLean(filepath.Join(dir, "lean.db"), benchLeads)
	if err != nil {
		b.Fatal(err)
	}
	defer lean.Close()
	var ours, theirs time.Duration
	from := 0
	for b.Loop() {
		batch := storetest.StepBatch(b, s, records[from:from+benchBatch])
		start := time.Now()
		if _, err := s.Commit(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		for i, c := range batch.Changes {
			records[from+i] = c.After
		}
		start = time.Now()
		if err := lean.Steps(1+from, benchBatch); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(start)
		from = (from + benchBatch) % benchLeads
	}
	steps := float64(b.N) * benchBatch
	b.ReportMetric(steps/ours.Seconds(), "steps/s")
	b.ReportMetric(steps/theirs.Seconds(), "lean-steps/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
}
