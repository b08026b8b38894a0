package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
)

// filled has n leads, whose numbers are 1 to n, and returns their records.
func filled(b *testing.B, s *postgres.Store, n int) []store.Record {
	b.Helper()
	ctx := b.Context()
	id, err := lead.NewWorkflowID()
	if err != nil {
		b.Fatal(err)
	}
	batch := store.Batch{Workflows: []store.Workflow{{Seq: 1, ID: id, Version: 1, Status: lead.WorkflowActive}}}
	records := make([]store.Record, n)
	for i := range records {
		seq := int64(i + 1)
		records[i] = store.Record{
			Seq: seq, Workflow: 1, Version: 1, State: lead.InStep, Phase: store.PhaseRunning, Visit: 1, Visits: 1, Wake: 1_700_000_000_000,
		}
		leadID, err := lead.NewID(time.Now(), seq)
		if err != nil {
			b.Fatal(err)
		}
		batch.Enroll = append(batch.Enroll, store.Enrollment{Record: records[i], Contact: store.Contact{Seq: seq, ID: leadID, Phone: 14150000000 + seq}})
		if len(batch.Enroll) == 1000 || i == n-1 {
			if _, err := s.Commit(ctx, &batch); err != nil {
				b.Fatal(err)
			}
			batch = store.Batch{}
		}
	}
	return records
}

const benchLeads = 20_000

// BenchmarkSteps has each of a batch's leads take a step after a step: by Commit, and by
// a bare loop that writes the same rows with the same indexes.
func BenchmarkSteps(b *testing.B) {
	for _, size := range []int{1, 1000} {
		b.Run(fmt.Sprintf("commit/%d", size), func(b *testing.B) {
			s := open(b, postgres.Options{Schema: schema(b)})
			records := filled(b, s, benchLeads)
			steps := int64(0)
			b.ResetTimer()
			for i := range b.N {
				var batch store.Batch
				for k := range size {
					r := &records[(i*size+k)%len(records)]
					steps++
					batch.Steps = append(batch.Steps, store.Step{
						Seq: steps, Prev: r.LastStep, Lead: r.Seq, Visit: r.Visit, Node: 1, Status: lead.StepCompleted, Attempts: 1,
						Entered: r.Wake, Due: r.Wake, Started: r.Wake, Exited: r.Wake, Outcome: "success",
					})
					after := *r
					after.Version, after.Visit, after.Visits, after.LastStep = r.Version+1, r.Visit+1, r.Visits+1, steps
					batch.Changes = append(batch.Changes, store.Change{Before: *r, After: after})
					*r = after
				}
				if _, err := s.Commit(b.Context(), &batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(steps)/b.Elapsed().Seconds(), "steps/s")
		})
		b.Run(fmt.Sprintf("bare/%d", size), func(b *testing.B) {
			o := postgres.Options{Schema: schema(b)}
			s := open(b, o)
			filled(b, s, benchLeads)
			conn, err := pgx.Connect(b.Context(), server(b))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close(context.Background())
			if _, err := conn.Exec(b.Context(), "SET search_path = "+o.Schema); err != nil {
				b.Fatal(err)
			}
			visits := make([]int32, benchLeads)
			steps := int64(0)
			b.ResetTimer()
			for i := range b.N {
				bare(b, conn, i*size, size, visits, &steps)
			}
			b.ReportMetric(float64(steps)/b.Elapsed().Seconds(), "steps/s")
		})
	}
}

// bare is one transaction: an UPDATE and a COPY.
func bare(b *testing.B, conn *pgx.Conn, from, size int, visits []int32, steps *int64) {
	b.Helper()
	ctx := b.Context()
	seqs, visit, last := make([]int64, size), make([]int32, size), make([]int64, size)
	rows := make([][]any, size)
	const wake = int64(1_700_000_000_000)
	for k := range size {
		at := (from + k) % len(visits)
		visits[at]++
		*steps++
		seqs[k], visit[k], last[k] = int64(at+1), visits[at], *steps
		rows[k] = []any{*steps, int64(0), seqs[k], visits[at], int32(1), int16(0), int16(4), int32(1), wake, wake, wake, wake, "success", nil}
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE leads l SET version = version + 1, visit = u.visit, visits = u.visit, last_step = u.last
			FROM unnest($1::bigint[], $2::int[], $3::bigint[]) AS u (seq, visit, last) WHERE l.seq = u.seq`, seqs, visit, last); err != nil {
			return err
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"steps"}, []string{"seq", "prev", "lead", "visit", "node", "kind", "status", "attempts", "entered", "due",
			"started", "exited", "outcome", "detail"}, pgx.CopyFromRows(rows))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}
