package engine_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite"
	"github.com/leadflow-go/leadflow/store/sqlite/raw"
)

// The benchmarks of the engine print what README.md's table of them says. Each
// runs on a file with synchronous=FULL, next to the raw loops of package raw.

const (
	benchSteps = 4
	rawBatch   = 1000 // rows, or steps, in a commit of a raw loop
)

// rig is an engine on disk that a benchmark drives.
type rig struct {
	*engine.Engine
	store *watched
	path  string
}

// watched tells what a batch that is on disk has changed.
type watched struct {
	*sqlite.Store
	committed func(*store.Batch) // on the loop's goroutine; nil for nobody
}

func (w *watched) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	done, err := w.Store.Commit(ctx, b)
	if err == nil && w.committed != nil {
		w.committed(b)
	}
	return done, err
}

// noop is a handler that succeeds at once.
var noop = engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) {
	return engine.Result{}, nil
})

// openRig opens the file at path and starts an engine on it.
func openRig(b *testing.B, path string, handler engine.Handler) *rig {
	b.Helper()
	st, err := sqlite.Open(background, path, sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	r := &rig{store: &watched{Store: st}, path: path}
	r.Engine, err = engine.New(r.store, engine.Config{
		Handlers: map[string]engine.Handler{"application": handler},
		// Half of the workers wait for the disk while the others are at work.
		Workers: 4 * rawBatch,
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func (r *rig) start(b *testing.B) {
	b.Helper()
	if err := r.Start(background); err != nil {
		b.Fatal(err)
	}
}

func (r *rig) close(b *testing.B) {
	b.Helper()
	if err := r.Shutdown(background); err != nil {
		b.Fatal(err)
	}
	if err := r.store.Close(); err != nil {
		b.Fatal(err)
	}
}

// inSteps is a workflow of so many steps, one after the other.
func inSteps(steps int) *workflow.Definition {
	def := &workflow.Definition{Name: "steps", Entry: "s1"}
	for i := 1; i <= steps; i++ {
		def.Nodes = append(def.Nodes, workflow.ApplicationNode("s"+strconv.Itoa(i), nil))
		if i > 1 {
			def.Edges = append(def.Edges, workflow.On("s"+strconv.Itoa(i-1), "success", "s"+strconv.Itoa(i)))
		}
	}
	return def
}

func (r *rig) create(b *testing.B, def *workflow.Definition) lead.WorkflowID {
	b.Helper()
	wf, err := r.CreateWorkflow(background, def)
	if err != nil {
		b.Fatal(err)
	}
	return wf.ID
}

func (r *rig) activate(b *testing.B, wf lead.WorkflowID) {
	b.Helper()
	if _, err := r.ActivateWorkflow(background, wf); err != nil {
		b.Fatal(err)
	}
}

func (r *rig) enroll(b *testing.B, wf lead.WorkflowID, first, n int) {
	b.Helper()
	report, err := r.EnrollAll(background, wf, people(first, n))
	if err != nil || report.Enrolled != n {
		b.Fatal(report, err)
	}
}

// ownRaw makes a file of package sqlite for a raw loop.
func ownRaw(b *testing.B, path string) *raw.Own {
	b.Helper()
	st, err := sqlite.Open(background, path, sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
	own, err := raw.OpenOwn(path)
	if err != nil {
		b.Fatal(err)
	}
	return own
}

// latencies are durations of one kind.
type latencies []time.Duration

// at returns the duration that so many of a hundred do not exceed.
func (l latencies) at(percent float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	return sorted[min(int(float64(len(sorted))*percent/100), len(sorted)-1)]
}

func (l latencies) report(b *testing.B, name string) {
	b.Helper()
	b.ReportMetric(float64(l.at(50).Microseconds()), name+"-p50-µs")
	b.ReportMetric(float64(l.at(99).Microseconds()), name+"-p99-µs")
}

// BenchmarkThroughput runs 20,000 leads through four steps that do nothing.
func BenchmarkThroughput(b *testing.B) {
	const leads, steps = 20_000, benchSteps
	var ours, own, lean time.Duration
	var commits int64
	for b.Loop() {
		dir := b.TempDir()
		r := openRig(b, filepath.Join(dir, "leads.db"), noop)
		r.start(b)
		wf := r.create(b, inSteps(steps))
		r.enroll(b, wf, 0, leads)
		completed, last := 0, make(chan struct{})
		r.store.committed = func(batch *store.Batch) {
			for i := range batch.Changes {
				if batch.Changes[i].After.State == lead.Completed {
					completed++
				}
			}
			if completed == leads {
				close(last)
				completed++
			}
		}
		began := time.Now()
		before := r.Stats().Commits
		r.activate(b, wf)
		<-last
		ours += time.Since(began)
		commits += r.Stats().Commits - before
		r.close(b)

		raws := ownRaw(b, filepath.Join(dir, "own.db"))
		for range leads / rawBatch {
			if err := raws.Enroll(rawBatch); err != nil {
				b.Fatal(err)
			}
		}
		began = time.Now()
		if err := raws.Lives(rawBatch, steps); err != nil {
			b.Fatal(err)
		}
		own += time.Since(began)
		if err := raws.Close(); err != nil {
			b.Fatal(err)
		}

		least, err := raw.NewLean(filepath.Join(dir, "lean.db"), leads)
		if err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		for i := range leads * steps / rawBatch {
			if err := least.Steps(1+i*rawBatch%leads, rawBatch); err != nil {
				b.Fatal(err)
			}
		}
		lean += time.Since(began)
		if err := least.Close(); err != nil {
			b.Fatal(err)
		}
	}
	n := float64(b.N * leads * steps)
	b.ReportMetric(n/ours.Seconds(), "steps/s")
	b.ReportMetric(n/own.Seconds(), "own-raw-steps/s")
	b.ReportMetric(n/lean.Seconds(), "lean-raw-steps/s")
	b.ReportMetric(own.Seconds()/ours.Seconds(), "of-own-raw")
	b.ReportMetric(lean.Seconds()/ours.Seconds(), "of-lean-raw")
	b.ReportMetric(n/float64(commits), "steps/commit")
}

// BenchmarkLatency takes one lead at a time through four steps on an idle
// engine, from the call of Enroll to the commit that completes the lead.
func BenchmarkLatency(b *testing.B) {
	dir := b.TempDir()
	r := openRig(b, filepath.Join(dir, "leads.db"), noop)
	defer r.close(b)
	r.start(b)
	wf := r.create(b, inSteps(benchSteps))
	r.activate(b, wf)
	completed := make(chan struct{}, 1)
	r.store.committed = func(batch *store.Batch) {
		for i := range batch.Changes {
			if batch.Changes[i].After.State == lead.Completed {
				completed <- struct{}{}
			}
		}
	}
	least, err := raw.NewLean(filepath.Join(dir, "lean.db"), 1000)
	if err != nil {
		b.Fatal(err)
	}
	defer least.Close()
	var ours, theirs latencies
	next := 0
	one := func() (took, rawTook time.Duration) {
		began := time.Now()
		if err := least.Row(1 + next%1000); err != nil {
			b.Fatal(err)
		}
		rawTook = time.Since(began)
		for c := range people(next, 1) {
			began = time.Now()
			if _, err := r.Enroll(background, wf, c); err != nil {
				b.Fatal(err)
			}
		}
		<-completed
		next++
		return time.Since(began), rawTook
	}
	for range 1000 { // until the logs have grown to the size at which they are used again
		one()
	}
	for b.Loop() {
		for range 200 {
			took, rawTook := one()
			ours, theirs = append(ours, took), append(theirs, rawTook)
		}
	}
	ours.report(b, "four-steps")
	theirs.report(b, "raw-commit")
	b.ReportMetric(float64(ours.at(50))/float64(theirs.at(50)), "p50-in-commits")
	b.ReportMetric(float64(ours.at(99))/float64(theirs.at(99)), "p99-in-commits")
}

// BenchmarkEnrollment enrolls 100,000 contacts from a stream.
func BenchmarkEnrollment(b *testing.B) {
	const leads = 100_000
	var ours, own time.Duration
	for b.Loop() {
		dir := b.TempDir()
		r := openRig(b, filepath.Join(dir, "leads.db"), noop)
		r.start(b)
		wf := r.create(b, inSteps(benchSteps))
		began := time.Now()
		r.enroll(b, wf, 0, leads)
		ours += time.Since(began)
		r.close(b)

		raws := ownRaw(b, filepath.Join(dir, "own.db"))
		began = time.Now()
		for range leads / rawBatch {
			if err := raws.Enroll(rawBatch); err != nil {
				b.Fatal(err)
			}
		}
		own += time.Since(began)
		if err := raws.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(leads*float64(b.N)/ours.Seconds(), "leads/s")
	b.ReportMetric(leads*float64(b.N)/own.Seconds(), "own-raw-leads/s")
	b.ReportMetric(own.Seconds()/ours.Seconds(), "of-own-raw")
}
