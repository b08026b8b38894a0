//go:build linux

package engine_test

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// The benchmarks over PostgreSQL run on the server that LEADFLOW_POSTGRES names, which
// must sync for their figures to mean anything:
//
//	LEADFLOW_POSTGRES_SETTINGS='-c fsync=on' .ci/postgres go test ./engine -run xxx -bench Postgres -benchtime 1x -count 5

// pgRig is engines on one schema.
type pgRig struct {
	schema  string
	engines []*engine.Engine
	stores  []*pgWatched
}

// pgWatched tells what a batch that is on disk has changed.
type pgWatched struct {
	*postgres.Store
	committed atomic.Pointer[func(*store.Batch)]
}

func (w *pgWatched) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	done, err := w.Store.Commit(ctx, b)
	if f := w.committed.Load(); err == nil && f != nil {
		(*f)(b)
	}
	return done, err
}

func openPostgres(b *testing.B, schema string, n int, handler engine.Handler) *pgRig {
	b.Helper()
	r := &pgRig{schema: schema}
	for range n {
		st, err := postgres.Open(background, pgtest.URL(), postgres.Options{Schema: schema})
		if err != nil {
			b.Fatal(err)
		}
		w := &pgWatched{Store: st}
		eng, err := engine.New(w, engine.Config{
			Handlers: map[string]engine.Handler{"application": handler}, Workers: 4 * rawBatch, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err == nil {
			err = eng.Start(background)
		}
		if err != nil {
			b.Fatal(err)
		}
		r.engines, r.stores = append(r.engines, eng), append(r.stores, w)
	}
	r.spread(b)
	return r
}

// spread waits until each engine has its share.
func (r *pgRig) spread(b *testing.B) {
	b.Helper()
	for {
		list, err := r.stores[0].Engines(background)
		if err != nil {
			b.Fatal(err)
		}
		least := store.Shards
		for _, e := range list {
			least = min(least, len(e.Shards))
		}
		if len(list) == len(r.engines) && least >= store.Shards/len(list) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *pgRig) close(b *testing.B) {
	b.Helper()
	for i, eng := range r.engines {
		if err := eng.Shutdown(background); err != nil {
			b.Fatal(err)
		}
		if err := r.stores[i].Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func (r *pgRig) create(b *testing.B, def *workflow.Definition) lead.WorkflowID {
	b.Helper()
	wf, err := r.engines[0].CreateWorkflow(background, def)
	if err != nil {
		b.Fatal(err)
	}
	return wf.ID
}

func (r *pgRig) enroll(b *testing.B, wf lead.WorkflowID, contacts iter.Seq2[lead.Contact, error], n int) {
	b.Helper()
	report, err := r.engines[0].EnrollAll(background, wf, contacts)
	if err != nil || report.Enrolled != n {
		b.Fatal(report, err)
	}
}

func (r *pgRig) activate(b *testing.B, wf lead.WorkflowID) {
	b.Helper()
	if _, err := r.engines[0].ActivateWorkflow(background, wf); err != nil {
		b.Fatal(err)
	}
}

// completed returns a channel that is closed when n leads have completed.
func (r *pgRig) completed(n int64) <-chan struct{} {
	var done atomic.Int64
	all := make(chan struct{})
	count := func(batch *store.Batch) {
		k := int64(0)
		for i := range batch.Changes {
			if batch.Changes[i].After.State == lead.Completed {
				k++
			}
		}
		if k > 0 && done.Add(k) == n {
			close(all)
		}
	}
	for _, st := range r.stores {
		st.committed.Store(&count)
	}
	return all
}

func needPostgres(b *testing.B) {
	b.Helper()
	if pgtest.URL() == "" {
		b.Skip(pgtest.Missing)
	}
}

// bareConn is a connection whose tables are those of the schema.
func bareConn(b *testing.B, schema string) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(background, pgtest.URL())
	if err == nil {
		_, err = conn.Exec(background, "SET search_path = "+schema)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(background) })
	return conn
}

// BenchmarkPostgresThroughput runs 20,000 leads through four steps that do nothing, on
// one engine and on two, and by a bare loop that writes the same rows.
func BenchmarkPostgresThroughput(b *testing.B) {
	needPostgres(b)
	const leads = 20_000
	var took [2]time.Duration
	var bare time.Duration
	for b.Loop() {
		for i := range took {
			r := openPostgres(b, pgtest.Schema(b), i+1, noop)
			wf := r.create(b, inSteps(benchSteps))
			r.enroll(b, wf, people(0, leads), leads)
			all := r.completed(leads)
			began := time.Now()
			r.activate(b, wf)
			<-all
			took[i] += time.Since(began)
			r.close(b)
		}
		schema := pgtest.Schema(b)
		r := openPostgres(b, schema, 1, noop)
		wf := r.create(b, inSteps(benchSteps))
		r.enroll(b, wf, people(0, leads), leads)
		r.close(b)
		conn := bareConn(b, schema)
		began := time.Now()
		for first := 1; first <= leads; first += rawBatch {
			bareLives(b, conn, first, rawBatch, benchSteps)
		}
		bare += time.Since(began)
	}
	n := float64(b.N * leads * benchSteps)
	b.ReportMetric(n/took[0].Seconds(), "steps/s")
	b.ReportMetric(n/took[1].Seconds(), "two-engines-steps/s")
	b.ReportMetric(n/bare.Seconds(), "bare-steps/s")
	b.ReportMetric(bare.Seconds()/took[0].Seconds(), "of-bare")
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "two-of-one")
}

// bareLives takes n leads through their steps: one UPDATE and one COPY a batch of steps.
func bareLives(b *testing.B, conn *pgx.Conn, first, n, steps int) {
	b.Helper()
	now := time.Now().UnixMilli()
	seqs, last := make([]int64, n), make([]int64, n)
	rows := make([][]any, n)
	for step := range steps + 1 {
		for i := range n {
			seqs[i] = int64(first + i)
			last[i] = int64(step)*1_000_000 + seqs[i]
			rows[i] = []any{last[i], int64(0), seqs[i], int32(step + 1), int32(step), int16(0), int16(4), int32(1), now, now, now, now, "success", nil}
		}
		err := pgx.BeginFunc(background, conn, func(tx pgx.Tx) error {
			spot, wake := "spot", "wake"
			switch step {
			case 0: // from the first node to the move
				spot = "2"
			case steps: // the end
				spot, wake = "5", "NULL"
			}
			if _, err := tx.Exec(background, `UPDATE leads l SET version = version + 1, spot = `+spot+`, wake = `+wake+`, phase = 2, node = $3, visit = $3, visits = $3,
				attempt = 1, entered = $4, due = $4, started = $4, deadline = $4, last_step = u.last, updated = $4, extra = '{"engine":1}'
				FROM unnest($1::bigint[], $2::bigint[]) AS u (seq, last) WHERE l.seq = u.seq`, seqs, last, step+1, now); err != nil {
				return err
			}
			if step == 0 {
				return nil // they have begun, and nothing is over
			}
			if step == steps {
				if _, err := tx.Exec(background, `DELETE FROM live USING unnest($1::bigint[]) AS u (seq) JOIN contacts c ON c.seq = u.seq
					WHERE live.phone = c.phone AND live.lead = u.seq`, seqs); err != nil {
					return err
				}
			}
			_, err := tx.CopyFrom(background, pgx.Identifier{"steps"}, []string{"seq", "prev", "lead", "visit", "node", "kind", "status", "attempts", "entered",
				"due", "started", "exited", "outcome", "detail"}, pgx.CopyFromRows(rows))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// bareRow is a commit of one row.
func bareRow(b *testing.B, conn *pgx.Conn) time.Duration {
	b.Helper()
	began := time.Now()
	if _, err := conn.Exec(background, "UPDATE bare SET n = n + 1"); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func bareTable(b *testing.B, conn *pgx.Conn) {
	b.Helper()
	for _, text := range []string{"CREATE TABLE bare (n bigint NOT NULL)", "INSERT INTO bare VALUES (0)"} {
		if _, err := conn.Exec(background, text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPostgresLatency takes one lead at a time through four steps on an idle
// engine, and another by bare transactions that write the same rows.
func BenchmarkPostgresLatency(b *testing.B) {
	needPostgres(b)
	schema := pgtest.Schema(b)
	r := openPostgres(b, schema, 1, noop)
	defer r.close(b)
	conn := bareConn(b, schema)
	bareTable(b, conn)
	const idle = 10_000 // leads for the bare transactions, from the number 1 on
	r.enroll(b, r.create(b, inSteps(benchSteps)), people(1_000_000, idle), idle)
	wf := r.create(b, inSteps(benchSteps))
	r.activate(b, wf)
	var ours, theirs, lives latencies
	next := 0
	one := func() {
		theirs = append(theirs, bareRow(b, conn))
		if next < idle {
			began := time.Now()
			bareLives(b, conn, next+1, 1, benchSteps)
			lives = append(lives, time.Since(began))
		}
		done := r.completed(1)
		for c := range people(next, 1) {
			began := time.Now()
			if _, err := r.engines[0].Enroll(background, wf, c); err != nil {
				b.Fatal(err)
			}
			<-done
			ours = append(ours, time.Since(began))
		}
		next++
	}
	for range 200 {
		one()
	}
	ours, theirs, lives = nil, nil, nil
	for b.Loop() {
		for range 200 {
			one()
		}
	}
	ours.report(b, "four-steps")
	theirs.report(b, "bare-commit")
	b.ReportMetric(float64(ours.at(50))/float64(theirs.at(50)), "p50-in-commits")
	b.ReportMetric(float64(lives.at(50))/float64(theirs.at(50)), "bare-life-in-commits")
}

// BenchmarkPostgresEnrollment enrolls 100,000 contacts from a stream, and copies the same
// rows by a bare COPY.
func BenchmarkPostgresEnrollment(b *testing.B) {
	needPostgres(b)
	const leads = 100_000
	var ours, bare time.Duration
	for b.Loop() {
		schema := pgtest.Schema(b)
		r := openPostgres(b, schema, 1, noop)
		wf := r.create(b, inSteps(benchSteps))
		began := time.Now()
		r.enroll(b, wf, people(0, leads), leads)
		ours += time.Since(began)
		r.close(b)
		conn := bareConn(b, schema)
		for _, text := range []string{
			"CREATE TABLE copied_leads (LIKE leads INCLUDING ALL)", "CREATE TABLE copied_contacts (LIKE contacts INCLUDING ALL)",
			"CREATE TABLE copied_live (LIKE live INCLUDING ALL)",
		} {
			if _, err := conn.Exec(background, text); err != nil {
				b.Fatal(err)
			}
		}
		began = time.Now()
		for first := 0; first < leads; first += 2 * rawBatch {
			bareEnroll(b, conn, first, 2*rawBatch)
		}
		bare += time.Since(began)
	}
	n := float64(b.N * leads)
	b.ReportMetric(n/ours.Seconds(), "leads/s")
	b.ReportMetric(n/bare.Seconds(), "bare-leads/s")
	b.ReportMetric(bare.Seconds()/ours.Seconds(), "of-bare")
}

func bareEnroll(b *testing.B, conn *pgx.Conn, first, n int) {
	b.Helper()
	now := time.Now().UnixMilli()
	leads, contacts, live := make([][]any, n), make([][]any, n), make([][]any, n)
	for i := range n {
		seq := int64(first + i + 1)
		leads[i] = []any{seq, int64(1), int64(1), int64(9), int16(1), int32(0), int32(1), int32(1), int32(0), now, now, int64(0), int64(0), now, int64(0), now, nil, nil, int16(seq % 64)}
		contacts[i] = []any{seq, make([]byte, 16), int64(14150000000) + seq, nil, nil, nil, now}
		live[i] = []any{int64(1), int64(14150000000) + seq, seq}
	}
	err := pgx.BeginFunc(background, conn, func(tx pgx.Tx) error {
		for _, t := range []struct {
			table   string
			columns []string
			rows    [][]any
		}{
			{"copied_leads", []string{"seq", "workflow", "version", "spot", "phase", "node", "visit", "visits", "attempt", "entered", "due", "started", "deadline",
				"wake", "last_step", "updated", "outcome", "extra", "shard"}, leads},
			{"copied_contacts", []string{"seq", "id", "phone", "external_id", "time_zone", "metadata", "enrolled"}, contacts},
			{"copied_live", []string{"workflow", "phone", "lead"}, live},
		} {
			if _, err := tx.CopyFrom(background, pgx.Identifier{t.table}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPostgresRemoval removes leads at an engine that does not have them, while all
// is idle and while the other engine steps as fast as it can.
func BenchmarkPostgresRemoval(b *testing.B) {
	needPostgres(b)
	schema := pgtest.Schema(b)
	r := openPostgres(b, schema, 2, noop)
	defer r.close(b)
	conn := bareConn(b, schema)
	bareTable(b, conn)
	def := &workflow.Definition{Name: "rest", Entry: "rest", Nodes: []workflow.Node{workflow.Wait("rest", 1000*time.Hour), workflow.End("done", workflow.Converted)},
		Edges: []workflow.Edge{workflow.To("rest", "done")}}
	wf := r.create(b, def)
	r.activate(b, wf)
	const waiting = 20_000
	r.enroll(b, wf, people(0, waiting), waiting)
	var ids [2][]lead.ID // of leads that each engine has not
	list, err := r.stores[0].Engines(background)
	if err != nil {
		b.Fatal(err)
	}
	owner := map[int16]int{}
	for i, e := range list {
		for _, shard := range e.Shards {
			owner[shard] = i
		}
	}
	for l, err := range r.engines[0].AllLeads(background, wf, engine.LeadFilter{}) {
		if err != nil {
			b.Fatal(err)
		}
		at := owner[store.ShardOf(lead.PhoneDigits(l.Contact.PhoneNumber))]
		ids[1-at] = append(ids[1-at], l.ID)
	}
	remove := func(n int) (took latencies) {
		for range n {
			id := ids[0][0]
			ids[0] = ids[0][1:]
			began := time.Now()
			if _, err := r.engines[0].Remove(background, wf, id); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		return took
	}
	remove(100)
	var idle, busy, bare, batches latencies
	for b.Loop() {
		for range 300 {
			bare = append(bare, bareRow(b, conn))
			idle = append(idle, remove(1)...)
		}
		circle := inSteps(benchSteps)
		circle.Edges = append(circle.Edges, workflow.On("s4", "success", "s1"))
		load := r.create(b, circle)
		r.enroll(b, load, people(5_000_000, 4*rawBatch), 4*rawBatch)
		r.activate(b, load)
		for i := range r.engines {
			for before := r.engines[i].Stats().StepsCompleted; r.engines[i].Stats().StepsCompleted < before+10_000; {
				time.Sleep(10 * time.Millisecond)
			}
		}
		var mu sync.Mutex
		var last time.Time
		count := func(*store.Batch) {
			mu.Lock()
			defer mu.Unlock()
			if !last.IsZero() {
				batches = append(batches, time.Since(last))
			}
			last = time.Now()
		}
		r.stores[1].committed.Store(&count)
		busy = append(busy, remove(300)...)
		if _, err := r.engines[0].PauseWorkflow(background, load); err != nil {
			b.Fatal(err)
		}
	}
	idle.report(b, "idle")
	busy.report(b, "under-load")
	bare.report(b, "bare-commit")
	b.ReportMetric(float64(idle.at(99))/float64(bare.at(50)), "idle-p99-in-commits")
	b.ReportMetric(float64(idle.at(99))/float64(bare.at(99)), "idle-p99-in-commits-p99")
	b.ReportMetric(float64(busy.at(99))/float64(batches.at(50)), "under-load-p99-in-batches")
}

// BenchmarkPostgresSleepers opens two engines on a million leads that wait for a day.
func BenchmarkPostgresSleepers(b *testing.B) {
	needPostgres(b)
	schema := pgtest.Schema(b)
	r := openPostgres(b, schema, 1, noop)
	wf := r.create(b, &workflow.Definition{Name: "rest", Entry: "rest",
		Nodes: []workflow.Node{workflow.Wait("rest", 24*time.Hour), workflow.End("done", workflow.Converted)}, Edges: []workflow.Edge{workflow.To("rest", "done")}})
	r.activate(b, wf)
	const million = 1_000_000
	r.enroll(b, wf, people(0, million), million)
	r.close(b)
	conn := bareConn(b, schema)
	if _, err := conn.Exec(background, "VACUUM ANALYZE leads"); err != nil {
		b.Fatal(err)
	}
	before := heap()
	r = openPostgres(b, schema, 2, noop)
	defer r.close(b)
	time.Sleep(3 * time.Second)
	grown := float64(heap()) - float64(before)
	const idle = 10 * time.Second
	cpu, server := processor(b), serverTime(b, conn)
	time.Sleep(idle)
	cpu, server = processor(b)-cpu, serverTime(b, conn)-server
	for b.Loop() { // which forgets what was reported before
	}
	b.ReportMetric(grown/million, "RAM-bytes/lead")
	b.ReportMetric(100*cpu.Seconds()/idle.Seconds(), "engines-idle-%-of-a-core")
	b.ReportMetric(100*server.Seconds()/idle.Seconds(), "server-idle-%-of-a-core") // 0 if it runs elsewhere
}

// serverTime is the processor time of the server's sessions, if it runs on this machine.
func serverTime(b *testing.B, conn *pgx.Conn) (sum time.Duration) {
	b.Helper()
	rows, err := conn.Query(background, "SELECT pid FROM pg_stat_activity")
	if err != nil {
		b.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		b.Fatal(err)
	}
	for _, pid := range pids {
		sum += processTime(pid)
	}
	return sum
}
