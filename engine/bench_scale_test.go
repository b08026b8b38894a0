//go:build unix

package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite/raw"
)

const million = 1_000_000

// sleepers is a file of a million leads that wait for a day, but for the first
// thousand, which are due when it is opened.
func sleepers(b *testing.B) *filled {
	return waitingLeads(b, million, "sleepers", atWait, func(i int) time.Duration {
		if i < 1000 {
			return 0
		}
		return 24*time.Hour + time.Duration(i)*time.Millisecond
	})
}

func heap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// processor is the time that all cores have spent on this process.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSleepers starts an engine on a million leads, of which nearly all
// wait for a day.
func BenchmarkSleepers(b *testing.B) {
	file := sleepers(b)
	path := file.copy(b)
	const idle = 10 * time.Second
	var ready, first latencies
	var grown, spent float64
	for b.Loop() {
		before := heap()
		came := make(chan time.Time, 1)
		handler := engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) {
			select {
			case came <- time.Now():
			default:
			}
			return engine.Result{}, nil
		})
		began := time.Now()
		r := openRig(b, path, handler)
		r.start(b)
		if err := r.Health(background); err != nil {
			b.Fatal(err)
		}
		ready = append(ready, time.Since(began))
		if len(first) == 0 { // the next time they are no longer due
			first = append(first, (<-came).Sub(began))
		}
		time.Sleep(2 * time.Second) // the leads that were due have had their step
		grown += float64(heap()) - float64(before)
		cpu := processor(b)
		time.Sleep(idle)
		spent += (processor(b) - cpu).Seconds() / idle.Seconds()
		r.close(b)
	}
	b.ReportMetric(grown/float64(b.N)/million, "RAM-bytes/lead")
	b.ReportMetric(float64(file.size)/million, "disk-bytes/lead")
	b.ReportMetric(100*spent/float64(b.N), "idle-%-of-a-core")
	b.ReportMetric(float64(ready.at(50).Microseconds())/1000, "ready-ms")
	b.ReportMetric(float64(first.at(50).Microseconds())/1000, "first-due-ms")
}

// load keeps an engine as busy as it can be until stop is called.
func (r *rig) load(b *testing.B) (stop func()) {
	b.Helper()
	// Four steps after which the lead goes round again.
	def := inSteps(benchSteps)
	def.Edges = append(def.Edges, workflow.On("s4", "success", "s1"))
	wf := r.create(b, def)
	r.enroll(b, wf, 5_000_000, 4*rawBatch)
	r.activate(b, wf)
	for before := r.Stats().StepsCompleted; r.Stats().StepsCompleted < before+50_000; {
		time.Sleep(10 * time.Millisecond)
	}
	return func() {
		if _, err := r.PauseWorkflow(background, wf); err != nil {
			b.Fatal(err)
		}
	}
}

// removeSome removes n leads one at a time, at random among the sleepers, but none
// twice.
func (r *rig) removeSome(b *testing.B, wf lead.WorkflowID, n int, random *rand.Rand, gone map[int64]bool) (took latencies) {
	b.Helper()
	for len(took) < n {
		seq := 2000 + random.Int64N(million/2-2000)
		if gone[seq] {
			continue
		}
		gone[seq] = true
		id := r.id(b, seq)
		began := time.Now()
		if _, err := r.Remove(background, wf, id); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	return took
}

// BenchmarkRemoval removes single leads of a million, on an idle engine and on
// one that steps as fast as it can.
func BenchmarkRemoval(b *testing.B) {
	file := sleepers(b)
	dir := b.TempDir()
	r := openRig(b, file.copy(b), noop)
	defer r.close(b)
	r.start(b)
	least, err := raw.NewLean(filepath.Join(dir, "lean.db"), 1000)
	if err != nil {
		b.Fatal(err)
	}
	defer least.Close()
	random, gone := rand.New(rand.NewPCG(1, 2)), map[int64]bool{}
	time.Sleep(time.Second)
	var idle, busy, raws, batches latencies
	for b.Loop() {
		for range 1000 {
			began := time.Now()
			if err := least.Row(1 + random.IntN(1000)); err != nil {
				b.Fatal(err)
			}
			raws = append(raws, time.Since(began))
			idle = append(idle, r.removeSome(b, file.wf, 1, random, gone)...)
		}
		stop := r.load(b)
		var last time.Time
		var mu sync.Mutex
		var now latencies
		r.store.committed = func(*store.Batch) {
			mu.Lock()
			if !last.IsZero() {
				now = append(now, time.Since(last))
			}
			last = time.Now()
			mu.Unlock()
		}
		busy = append(busy, r.removeSome(b, file.wf, 1000, random, gone)...)
		stop()
		mu.Lock()
		batches = append(batches, now...)
		mu.Unlock()
	}
	idle.report(b, "idle")
	busy.report(b, "under-load")
	b.ReportMetric(float64(idle.at(99))/float64(raws.at(99)), "idle-p99-in-raw-p99")
	b.ReportMetric(float64(idle.at(99))/float64(raws.at(50)), "idle-p99-in-raw-p50")
	b.ReportMetric(float64(busy.at(99))/float64(batches.at(50)), "under-load-p99-in-batches")
	b.ReportMetric(float64(batches.at(50).Microseconds()), "batch-p50-µs")
}

// BenchmarkRemovalOfMany removes 100,000 of a million leads by filter, on an idle
// engine, and beside removals of single leads under full load.
func BenchmarkRemovalOfMany(b *testing.B) {
	const many = 100_000
	file := sleepers(b)
	var ours, own, underLoad time.Duration
	var quiet, beside latencies
	for b.Loop() {
		dir := b.TempDir()
		r := openRig(b, file.copy(b), noop)
		r.start(b)
		time.Sleep(time.Second)
		remove := func(after int64) time.Duration {
			began := time.Now()
			n, err := r.RemoveLeads(background, file.wf, engine.LeadFilter{All: true, After: r.id(b, after), Limit: many})
			if err != nil || n != many {
				b.Fatal(n, err)
			}
			return time.Since(began)
		}
		ours += remove(million / 2)

		random, gone := rand.New(rand.NewPCG(1, 2)), map[int64]bool{}
		stop := r.load(b)
		quiet = append(quiet, r.removeSome(b, file.wf, 500, random, gone)...)
		done := make(chan time.Duration)
		go func() { done <- remove(million/2 + 200_000) }()
		for over := false; !over; {
			beside = append(beside, r.removeSome(b, file.wf, 10, random, gone)...)
			select {
			case took := <-done:
				underLoad += took
				over = true
			default:
			}
		}
		stop()
		r.close(b)

		raws := ownRaw(b, filepath.Join(dir, "own.db"))
		for range many / rawBatch {
			if err := raws.Enroll(rawBatch); err != nil {
				b.Fatal(err)
			}
		}
		began := time.Now()
		for first := 1; first <= many; first += rawBatch {
			if err := raws.Remove(first, rawBatch); err != nil {
				b.Fatal(err)
			}
		}
		own += time.Since(began)
		if err := raws.Close(); err != nil {
			b.Fatal(err)
		}
	}
	n := float64(b.N)
	b.ReportMetric(many*n/ours.Seconds(), "leads/s")
	b.ReportMetric(ours.Seconds()/n, "s")
	b.ReportMetric(own.Seconds()/ours.Seconds(), "of-own-raw")
	b.ReportMetric(many*n/underLoad.Seconds(), "under-load-leads/s")
	b.ReportMetric(float64(beside.at(99))/float64(quiet.at(99)), "others-p99-ratio")
	quiet.report(b, "others-before")
	beside.report(b, "others-beside")
}

// lateness runs an engine over leads that come due while it runs and returns how
// late each had its step.
func lateness(b *testing.B, n int, due func(i int) time.Duration) latencies {
	b.Helper()
	file := &filled{path: filepath.Join(b.TempDir(), "leads.db")}
	file.fill(b, n, atWait, due, nil)
	var mu sync.Mutex
	var late latencies
	all := make(chan struct{})
	handler := engine.HandlerFunc(func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		at := time.Now()
		mu.Lock()
		defer mu.Unlock()
		i := int(a.LeadID.Seq()) - 1
		late = append(late, at.Sub(file.now.Truncate(time.Millisecond).Add(due(i))))
		if len(late) == n {
			close(all)
		}
		return engine.Result{}, nil
	})
	r := openRig(b, file.path, handler)
	r.start(b)
	<-all
	r.close(b)
	return late
}

// BenchmarkTimers tells how late steps start: 1,000 that come due a second, and
// 50,000 that come due in the same instant.
func BenchmarkTimers(b *testing.B) {
	const lead = 3 * time.Second // after which the first come due
	b.Run("1000-a-second", func(b *testing.B) {
		var late latencies
		for b.Loop() {
			late = append(late, lateness(b, 10_000, func(i int) time.Duration {
				return lead + time.Duration(i)*time.Millisecond
			})...)
		}
		late.report(b, "late")
		b.ReportMetric(float64(late.at(100).Microseconds()), "late-max-µs")
	})
	b.Run("50000-at-once", func(b *testing.B) {
		var late latencies
		for b.Loop() {
			late = append(late, lateness(b, 50_000, func(int) time.Duration { return lead })...)
		}
		late.report(b, "late")
		b.ReportMetric(float64(late.at(100).Microseconds()), "late-max-µs")
	})
}

// BenchmarkGrowth steps leads of larger and larger files, each of them once, in
// the order in which they were enrolled and in random order, and reads from the
// files.
func BenchmarkGrowth(b *testing.B) {
	rates := map[string]float64{}
	lean := map[int]float64{}
	for _, order := range []string{"in-order", "random"} {
		for _, size := range []int{10_000, 100_000, million, 3 * million} {
			b.Run(fmt.Sprintf("%s/%d", order, size), func(b *testing.B) {
				growth(b, size, order, rates, lean)
			})
		}
	}
}

func growth(b *testing.B, size int, order string, rates map[string]float64, lean map[int]float64) {
	due := func(i int) time.Duration { return time.Duration(i) - time.Hour }
	if order == "random" {
		// All a different millisecond, so that the due order is the random one.
		random := rand.New(rand.NewPCG(7, 7)).Perm(size)
		due = func(i int) time.Duration { return time.Duration(random[i])*time.Millisecond - 24*time.Hour }
	}
	file := waitingLeads(b, size, fmt.Sprintf("%s-%d", order, size), atStep, due)
	steps := min(size, 200_000)
	var took time.Duration
	for b.Loop() {
		r := openRig(b, file.copy(b), noop)
		var done atomic.Int64
		all := make(chan struct{})
		r.store.committed = func(batch *store.Batch) {
			n := int64(0)
			for i := range batch.Steps {
				if batch.Steps[i].Node == atStep {
					n++
				}
			}
			if before := done.Load(); done.Add(n) >= int64(steps) && before < int64(steps) {
				close(all)
			}
		}
		began := time.Now()
		r.start(b)
		<-all
		took += time.Since(began) * time.Duration(steps) / time.Duration(done.Load())
		r.close(b)
	}
	rate := float64(steps) * float64(b.N) / took.Seconds()
	rates[fmt.Sprint(order, size)] = rate
	b.ReportMetric(rate, "steps/s")
	if base := rates[order+"10000"]; base > 0 {
		b.ReportMetric(rate/base, "of-10000")
	}

	if order == "random" {
		least, err := raw.NewLean(filepath.Join(b.TempDir(), "lean.db"), size)
		if err != nil {
			b.Fatal(err)
		}
		random := rand.New(rand.NewPCG(8, 8))
		began := time.Now()
		const commits = 200
		for range commits {
			if err := least.RandomSteps(random, size, rawBatch); err != nil {
				b.Fatal(err)
			}
		}
		lean[size] = commits * rawBatch / time.Since(began).Seconds()
		if err := least.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(lean[size]/lean[10_000], "lean-raw-of-10000")
		return
	}
	r := openRig(b, file.path, noop) // not started
	defer func() {
		if err := r.store.Close(); err != nil {
			b.Fatal(err)
		}
	}()
	random := rand.New(rand.NewPCG(9, 9))
	var history, list latencies
	for range 300 {
		id := r.id(b, 1+random.Int64N(int64(size)))
		began := time.Now()
		if _, err := r.History(background, file.wf, id); err != nil {
			b.Fatal(err)
		}
		history = append(history, time.Since(began))
		began = time.Now()
		page, err := r.Leads(background, file.wf, engine.LeadFilter{After: id, Limit: 50})
		if err != nil || size > 100_000 && len(page) == 0 {
			b.Fatal(err)
		}
		list = append(list, time.Since(began))
	}
	history.report(b, "history")
	list.report(b, "page-of-50")
}

// BenchmarkQueries reads leads, histories and pages while the engine steps as
// fast as it can.
func BenchmarkQueries(b *testing.B) {
	file := sleepers(b)
	r := openRig(b, file.copy(b), noop)
	defer r.close(b)
	r.start(b)
	random := rand.New(rand.NewPCG(3, 4))
	stop := r.load(b)
	defer stop()
	var one, history, list latencies
	for b.Loop() {
		for range 1000 {
			id := r.id(b, 1+random.Int64N(million-100))
			began := time.Now()
			if _, err := r.Lead(background, file.wf, id); err != nil {
				b.Fatal(err)
			}
			one = append(one, time.Since(began))
			began = time.Now()
			if _, err := r.History(background, file.wf, id); err != nil {
				b.Fatal(err)
			}
			history = append(history, time.Since(began))
			began = time.Now()
			if _, err := r.Leads(background, file.wf, engine.LeadFilter{After: id, Limit: 50}); err != nil {
				b.Fatal(err)
			}
			list = append(list, time.Since(began))
		}
	}
	one.report(b, "lead")
	history.report(b, "history")
	list.report(b, "page-of-50")
}
