package sqlite

import (
	"context"
	"database/sql/driver"
	"path/filepath"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
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
	list := enrollments(b, s, 1, benchLeads)
	records := make([]store.Record, benchLeads)
	for i, e := range list {
		records[i] = e.Record
	}
	if _, err := s.Commit(b.Context(), &store.Batch{Enroll: list}); err != nil {
		b.Fatal(err)
	}
	lean := newLean(b, filepath.Join(dir, "lean.db"))
	var ours, theirs time.Duration
	from := 0
	for b.Loop() {
		batch := stepBatch(b, s, records[from:from+benchBatch])
		start := time.Now()
		if _, err := s.Commit(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		for i, c := range batch.Changes {
			records[from+i] = c.After
		}
		start = time.Now()
		lean.commit(b, from)
		theirs += time.Since(start)
		from = (from + benchBatch) % benchLeads
	}
	steps := float64(b.N) * benchBatch
	b.ReportMetric(steps/ours.Seconds(), "steps/s")
	b.ReportMetric(steps/theirs.Seconds(), "lean-steps/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
}

// stepBatch is a step of each of the leads.
func stepBatch(b *testing.B, s *Store, records []store.Record) (batch store.Batch) {
	first, err := s.Reserve(b.Context(), store.StepSequence, len(records))
	if err != nil {
		b.Fatal(err)
	}
	for i, before := range records {
		after := before
		after.Version, after.Visit, after.Visits = before.Version+1, before.Visit+1, before.Visits+1
		after.Node, after.LastStep = (before.Node+1)%7, first+int64(i)
		after.Entered += 1000
		after.Started, after.Due, after.Updated, after.Deadline = after.Entered, after.Entered, after.Entered, after.Entered+60_000
		batch.Changes = append(batch.Changes, store.Change{Before: before, After: after})
		batch.Steps = append(batch.Steps, store.Step{
			Seq: after.LastStep, Prev: before.LastStep, Lead: before.Seq, Visit: before.Visit, Node: before.Node,
			Status: lead.StepCompleted, Attempts: 1, Entered: before.Entered, Due: before.Due,
			Started: before.Started, Exited: after.Entered, Outcome: "answered",
		})
	}
	return batch
}

// lean updates five integers of a row by its key and appends a row, for each
// step, on the driver's own connection.
type lean struct {
	begin, update, insert, end *stmt
	n                          int64
}

func newLean(b *testing.B, path string) *lean {
	connector, err := connect(path, writerParams(Options{}))
	if err != nil {
		b.Fatal(err)
	}
	conn, err := connector.Connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	prepare := func(text string) *stmt {
		s, err := conn.(driver.ConnPrepareContext).PrepareContext(context.Background(), text)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		return &stmt{prepared: s, text: text}
	}
	l := &lean{}
	l.exec(b, prepare(`CREATE TABLE leads (seq INTEGER PRIMARY KEY, a, b, c, d, e)`))
	l.exec(b, prepare(`CREATE TABLE steps (seq INTEGER PRIMARY KEY, a, b, c, d, e)`))
	l.exec(b, prepare(`
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO leads SELECT i, 1, 1, 1, 1700000000000, 1700000000000 FROM n`), int64(benchLeads))
	l.begin, l.end = prepare(`BEGIN IMMEDIATE`), prepare(`COMMIT`)
	l.update = prepare(`UPDATE leads SET a = ?, b = ?, c = ?, d = ?, e = ? WHERE seq = ?`)
	l.insert = prepare(`INSERT INTO steps (a, b, c, d, e, seq) VALUES (?, ?, ?, ?, ?, ?)`)
	return l
}

func (l *lean) exec(b *testing.B, s *stmt, args ...any) {
	if _, err := s.exec(context.Background(), args...); err != nil {
		b.Fatal(err)
	}
}

func (l *lean) commit(b *testing.B, from int) {
	l.exec(b, l.begin)
	l.n++
	moment := 1_700_000_000_000 + l.n
	for i := range int64(benchBatch) {
		l.exec(b, l.update, l.n, l.n, int64(3), moment, moment+60_000, int64(from)+i+1)
	}
	for i := range int64(benchBatch) {
		l.exec(b, l.insert, int64(from)+i+1, l.n, int64(3), moment, moment+60_000, l.n*benchBatch+i)
	}
	l.exec(b, l.end)
}
