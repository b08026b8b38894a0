package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// badDisk is a disk that is full or broken now and then, and whose power may be
// cut. What has been promised to the world is noted with it, so that both are
// known as of one moment.
type badDisk struct {
	*rand.Rand

	mu     sync.Mutex // guards what follows
	disk   *disktest.Disk
	fail   func(op disktest.Op) disktest.Code
	failed int
	promises
}

// promises are what was acknowledged, and what was begun.
type promises struct {
	enrolled map[lead.ID]bool
	removed  map[lead.ID]bool
	attempts map[string]bool // by key
}

func (p *promises) clone() promises {
	return promises{maps.Clone(p.enrolled), maps.Clone(p.removed), maps.Clone(p.attempts)}
}

func (d *badDisk) Before(op disktest.Op) disktest.Code {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if code := d.fail(op); code != disktest.OK {
			d.failed++
			if op.Kind == disktest.Sync {
				d.disk.SyncFailed(op.File, d.Rand, disktest.Chance(d.Rand, d.IntN(101), 30))
			}
			return code
		}
	}
	return d.disk.Before(op)
}

func (d *badDisk) After(op disktest.Op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.disk.After(op)
}

// breaks has some of the next operations fail, or none.
func (d *badDisk) breaks() {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, lasts := 1+d.IntN(20), d.IntN(3) == 0
	code := []disktest.Code{disktest.Full, disktest.IOError}[d.IntN(2)]
	d.fail = func(disktest.Op) disktest.Code {
		if n--; n == 0 || n < 0 && lasts {
			return code
		}
		return disktest.OK
	}
}

func (d *badDisk) mend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = nil
}

// note has keep note what was promised, in step with what the disk holds.
func (d *badDisk) note(keep func(p *promises)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep(&d.promises)
}

// afterCut is what a power cut left, and what it must have left.
type afterCut struct {
	files disktest.Files
	promises
}

func (d *badDisk) cut() afterCut {
	d.mu.Lock()
	defer d.mu.Unlock()
	fate := disktest.Nothing
	if d.IntN(2) == 0 {
		fate = disktest.Chance(d.Rand, d.IntN(101), d.IntN(60))
	}
	return afterCut{d.disk.Cut(d.Rand, fate), d.promises.clone()}
}

// onBadDisk makes the world's disk one that a test can break.
func (w *world) onBadDisk(rng *rand.Rand) (d *badDisk, stop func()) {
	w.t.Helper()
	w.close()
	dir := filepath.Dir(w.path)
	files, err := disktest.Read(dir, filepath.Base(w.path))
	if err != nil {
		w.t.Fatal(err)
	}
	d = &badDisk{Rand: rng, disk: disktest.New(files), promises: promises{map[lead.ID]bool{}, map[lead.ID]bool{}, map[string]bool{}}}
	stop, err = disktest.Watch(dir, d)
	if err != nil {
		w.t.Fatal(err)
	}
	w.open()
	return d, stop
}

// badDiskWorkflow has a step that fails once, a wait, and another step.
func badDiskWorkflow() ([]workflow.Node, []workflow.Edge) {
	return []workflow.Node{
			workflow.CallNode("call", nil).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(3 * time.Millisecond)}),
			workflow.Wait("wait", 150*time.Millisecond),
			workflow.MessageNode("text", nil),
			workflow.End("done", workflow.Converted),
		}, []workflow.Edge{
			workflow.On("call", "completed", "wait"), workflow.To("wait", "text"), workflow.On("text", "success", "done"),
		}
}

// The disk is full or broken again and again, for one operation or for a while,
// at every stage of many leads' lives, and the power is cut meanwhile. Callers
// are refused with an error that says what to do, or have what they asked for on
// disk; once the disk is well everything goes on, and nothing is done twice. What
// the power cuts left is run by another engine to its end: all that was
// acknowledged is there, whatever was begun is on record, and no step begins of a
// lead whose removal was acknowledged.
func TestAnEngineOutlivesABadDisk(t *testing.T) {
	seed := storetest.Seed(t)
	var cuts []afterCut
	var wf lead.WorkflowID
	synctest.Test(t, func(t *testing.T) {
		cuts, wf = runOnBadDisk(t, seed)
	})
	for n, c := range cuts {
		t.Run(fmt.Sprint("cut ", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.goesOn(t, wf) })
		})
	}
}

func runOnBadDisk(t *testing.T, seed uint64) (cuts []afterCut, wf lead.WorkflowID) {
	rng := rand.New(rand.NewPCG(seed, 0))
	const people = 80
	made := map[string]int{}
	var d *badDisk
	w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		d.note(func(p *promises) { p.attempts[a.IdempotencyKey] = true; made[a.IdempotencyKey]++ })
		time.Sleep(time.Duration(a.LeadID.Seq()%7) * time.Millisecond)
		if a.Node.Type == workflow.VoiceCall && a.Number == 1 {
			return engine.Result{}, errors.New("busy")
		}
		return engine.Result{}, nil
	}, engine.Hook{Name: "none", Run: func(context.Context, engine.HookEvent) error { return nil }})
	nodes, edges := badDiskWorkflow()
	wf = w.activate(nodes, edges...)
	var stop func()
	d, stop = w.onBadDisk(rand.New(rand.NewPCG(seed, 1)))
	t.Cleanup(stop) // after the world is closed

	// again asks until it is not refused because of the disk.
	again := func(ask func() error) error {
		for {
			err := ask()
			if err == nil || errors.Is(err, lead.ErrConflict) {
				return err
			}
			if text := err.Error(); !strings.Contains(text, "make room on the disk") && !strings.Contains(text, "see the system's log") &&
				!strings.Contains(text, "must be allowed to write") {
				t.Errorf("the error does not say what to do: %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	var callers sync.WaitGroup
	for i := range people {
		callers.Go(func() {
			time.Sleep(time.Duration(i) * 15 * time.Millisecond)
			var l lead.Lead
			again(func() (err error) { l, err = w.eng.Enroll(background, wf, person(i)); return err })
			d.note(func(p *promises) { p.enrolled[l.ID] = true })
			if i%3 > 0 {
				return
			}
			time.Sleep(time.Duration(i%17) * 10 * time.Millisecond)
			if again(func() error { _, err := w.eng.Remove(background, wf, l.ID); return err }) == nil {
				d.note(func(p *promises) { p.removed[l.ID] = true })
			}
		})
	}
	for len(cuts) < 8 {
		for range 4 {
			d.breaks()
			time.Sleep(time.Duration(rng.IntN(40)) * time.Millisecond)
			d.mend()
			time.Sleep(time.Duration(rng.IntN(40)) * time.Millisecond)
		}
		cuts = append(cuts, d.cut())
	}
	callers.Wait()
	time.Sleep(time.Minute)
	synctest.Wait()
	t.Logf("%d operations failed; %d leads were enrolled, %d removed; %d attempts", d.failed, len(d.enrolled), len(d.removed), len(made))
	if d.failed < 15 {
		t.Error("the test tests less than it says")
	}
	if err := w.eng.Health(background); err != nil {
		t.Errorf("the disk is well again: %v", err)
	}
	w.expectCounts(wf, map[lead.State]int64{
		lead.Completed: int64(people - len(d.removed)), lead.Removed: int64(len(d.removed)),
	})
	for id := range d.enrolled {
		l := lead.Lead{WorkflowID: wf, ID: id}
		if !d.removed[id] {
			w.expectSteps(l, "call=completed wait=completed text=success done=converted")
		}
	}
	for key, n := range made {
		if n != 1 {
			t.Errorf("attempt %s was made %d times", key, n)
		}
	}
	return cuts, wf
}

// goesOn runs what a power cut left to its end.
func (c *afterCut) goesOn(t *testing.T, wf lead.WorkflowID) {
	dir := t.TempDir()
	if err := c.files.WriteTo(dir, ""); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(background, filepath.Join(dir, "leads.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := map[lead.ID][]lead.Step{} // the histories that the cut left
	w := newWorld(t, nil)
	w.close()
	w.store = s
	handle := engine.HandlerFunc(func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		if !c.removed[a.LeadID] {
			return engine.Result{}, nil
		}
		for _, step := range before[a.LeadID] {
			if step.ID == a.StepID && len(step.Attempts) > 0 {
				return engine.Result{}, nil // in flight already
			}
		}
		t.Errorf("a step of lead %s begins after its removal was acknowledged: %s", a.LeadID, a.Node.ID)
		return engine.Result{}, nil
	})
	for kind := range w.config.Handlers {
		w.config.Handlers[kind] = handle
	}
	if w.eng, err = engine.New(s, w.config); err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	there, err := w.eng.Leads(background, wf, engine.LeadFilter{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[lead.ID]bool{}
	for _, l := range there {
		found[l.ID] = true
		if c.removed[l.ID] && l.Removal == nil {
			t.Errorf("the removal of lead %s was acknowledged, and it is %s", l.ID, l.State)
		}
		before[l.ID] = w.history(l)
		for _, s := range before[l.ID] {
			for _, a := range s.Attempts {
				recorded[fmt.Sprintf("%s/%d", s.ID, a.Number)] = true
			}
		}
	}
	for id := range c.enrolled {
		if !found[id] {
			t.Errorf("lead %s was acknowledged, and is not there", id)
		}
	}
	for key := range c.attempts {
		if !recorded[key] {
			t.Errorf("attempt %s was made, and is not on record", key)
		}
	}
	if err := w.eng.Start(background); err != nil {
		t.Fatal(err)
	}
	defer w.eng.Shutdown(background)
	time.Sleep(time.Hour)
	synctest.Wait()
	counts := map[lead.State]int64{}
	for _, l := range there {
		l = w.lead(l)
		counts[l.State]++
		if !l.State.Final() || c.removed[l.ID] && l.State != lead.Removed {
			t.Errorf("lead %s is %s in the end: %s", l.ID, l.State, w.steps(l))
		}
	}
	t.Logf("%d leads and %d removals were acknowledged; in the end %v", len(c.enrolled), len(c.removed), counts)
}
