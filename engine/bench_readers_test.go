package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

const readLeads = 400_000

// readFile is a file of one workflow whose leads all have an external id. Three
// quarters are at their first wait; the others have had a step, which is in the call
// log, and are at their second.
func readFile(b *testing.B) *filled {
	b.Helper()
	file := &filled{path: filepath.Join(b.TempDir(), "leads.db")}
	step, call := int64(0), int64(0)
	due := func(i int) time.Duration { return 24*time.Hour + time.Duration(i)*time.Millisecond }
	file.fill(b, readLeads, atWait, due, func(batch *store.Batch, e *store.Enrollment) {
		r, c := &e.Record, &e.Contact
		c.ExternalID = fmt.Sprint("crm-", r.Seq)
		if r.Seq%4 > 0 {
			return
		}
		for node, attempts := range []int32{atWait: 0, atStep: 1} {
			step++
			batch.Steps = append(batch.Steps, store.Step{
				Seq: step, Prev: r.LastStep, Lead: r.Seq, Visit: r.Visit, Node: int32(node), Status: lead.StepCompleted,
				Attempts: attempts, Entered: r.Entered, Due: r.Entered, Started: r.Entered, Exited: r.Entered, Outcome: "success",
			})
			r.LastStep, r.Visit, r.Visits, r.Node = step, r.Visit+1, r.Visits+1, int32(node)+1
		}
		call++
		batch.Calls = append(batch.Calls, store.Call{
			Seq: call, Lead: r.Seq, Workflow: r.Workflow, Visit: 2, Entered: r.Entered, Attempt: 1, NodeID: "step",
			Status: lead.StepCompleted, Started: r.Entered, Ended: r.Entered, CallID: fmt.Sprint("call-", call), Outcome: "success",
		})
	})
	return file
}

// readings is what users of an engine read: each returns a function that reads the
// next time.
func (r *rig) readings(wf lead.WorkflowID, ids []lead.ID) []func() func() error {
	any := func() (int, lead.ID) { i := rand.IntN(len(ids)); return i, ids[i] }
	return []func() func() error{
		func() func() error { // page through the leads
			var after lead.ID
			return func() error {
				page, err := r.Leads(background, wf, engine.LeadFilter{After: after, Limit: 500})
				if after = (lead.ID{}); len(page) > 0 {
					after = page[len(page)-1].ID
				}
				return err
			}
		},
		func() func() error { // page through the calls
			var after engine.CallCursor
			return func() error {
				page, next, err := r.Calls(background, engine.CallFilter{WorkflowID: wf, After: after, Limit: 500})
				if after = next; len(page) == 0 {
					after = 0
				}
				return err
			}
		},
		func() func() error {
			return func() error {
				_, err := r.CountLeads(background, wf, engine.LeadFilter{Node: "day"})
				return err
			}
		},
		func() func() error {
			return func() error {
				i, _ := any()
				_, err := r.Leads(background, wf, engine.LeadFilter{PhoneNumber: fmt.Sprint("+1415", 2000000+i)})
				return err
			}
		},
		func() func() error {
			return func() error {
				i, _ := any()
				_, err := r.store.Leads(background, store.LeadQuery{ExternalID: fmt.Sprint("crm-", i+1)})
				return err
			}
		},
		func() func() error {
			return func() error {
				_, id := any()
				_, err := r.History(background, wf, id)
				return err
			}
		},
	}
}

// beside has n goroutines do things over and over until stop is called, which
// returns how often they did. Each of them does one of the kinds.
func beside(b *testing.B, n int, kinds []func() func() error) (stop func() int64) {
	b.Helper()
	ctx, cancel := context.WithCancel(background)
	var done atomic.Int64
	var all sync.WaitGroup
	for i := range n {
		do := kinds[i%len(kinds)]()
		all.Go(func() {
			for ctx.Err() == nil {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	return func() int64 {
		cancel()
		all.Wait()
		return done.Load()
	}
}

// BenchmarkRemoveUnderReaders removes single leads of 400,000 while 8 goroutines
// read: two page through the leads and two through the calls, the others count by
// node, list by phone and by external id, and read histories. Then they read from a
// copy of the file, where they take as much of the processors and no lock or
// connection of the engine's: what is slower then is the processors' share.
func BenchmarkRemoveUnderReaders(b *testing.B) {
	file := readFile(b)
	r, other := openRig(b, file.path, noop), openRig(b, file.copy(b), noop) // which is not started
	defer r.close(b)
	defer func() {
		if err := other.store.Close(); err != nil {
			b.Fatal(err)
		}
	}()
	r.start(b)
	ids := make([]lead.ID, 0, readLeads)
	for l, err := range r.AllLeads(background, file.wf, engine.LeadFilter{}) {
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, l.ID)
	}
	order, next := rand.New(rand.NewPCG(5, 6)).Perm(readLeads), 0
	remove := func(n int) (took latencies) {
		for range n {
			id := ids[order[next]]
			next++
			began := time.Now()
			if _, err := r.Remove(background, file.wf, id); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		return took
	}
	remove(1000) // until the log has grown to the size at which it is used again
	const readers, rounds, each = 8, 10, 100
	var idle, elsewhere, here latencies
	var reads int64
	var took time.Duration
	for b.Loop() {
		for range rounds {
			idle = append(idle, remove(each)...)
			stop := beside(b, readers, other.readings(file.wf, ids))
			elsewhere = append(elsewhere, remove(each)...)
			stop()
			stop = beside(b, readers, r.readings(file.wf, ids))
			began := time.Now()
			here = append(here, remove(each)...)
			took += time.Since(began)
			reads += stop()
		}
	}
	idle.report(b, "idle")
	here.report(b, "readers")
	b.ReportMetric(float64(here.at(50))/float64(idle.at(50)), "p50-ratio")
	b.ReportMetric(float64(here.at(99))/float64(idle.at(99)), "p99-ratio")
	b.ReportMetric(float64(elsewhere.at(50))/float64(idle.at(50)), "elsewhere-p50-ratio")
	b.ReportMetric(float64(elsewhere.at(99))/float64(idle.at(99)), "elsewhere-p99-ratio")
	b.ReportMetric(float64(reads)/took.Seconds(), "reads/s")
}

// BenchmarkCensus counts a hundred thousand leads that wait.
func BenchmarkCensus(b *testing.B) {
	const n = 100_000
	file := waitingLeads(b, n, "census", atDay, func(i int) time.Duration { return time.Hour + time.Duration(i)*time.Millisecond })
	r := openRig(b, file.copy(b), noop)
	defer r.close(b)
	r.start(b)
	var took, used time.Duration
	for b.Loop() {
		before := processor(b)
		c, err := r.Census(background)
		if err != nil || c.Leads != n {
			b.Fatal(c.Leads, err)
		}
		took += c.Took
		used += processor(b) - before
	}
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N*n), "cpu-ns/lead")
	b.ReportMetric(took.Seconds()/float64(b.N)*1e6/n, "s/million")
}
