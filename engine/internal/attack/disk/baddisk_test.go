package disk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// badDisk is a disk that is sometimes full or broken, and whose power may be cut. It
// also records what was promised to callers, so that both are known at one moment.
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

// breaks makes some of the next operations fail, or none.
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

// note records what was promised, while the disk does not change.
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
func onBadDisk(w *world.World, rng *rand.Rand) (d *badDisk, stop func()) {
	w.Helper()
	w.Close()
	dir := filepath.Dir(w.File)
	files, err := disktest.Read(dir, filepath.Base(w.File))
	if err != nil {
		w.Fatal(err)
	}
	d = &badDisk{Rand: rng, disk: disktest.New(files), promises: promises{map[lead.ID]bool{}, map[lead.ID]bool{}, map[string]bool{}}}
	stop, err = disktest.Watch(dir, d)
	if err != nil {
		w.Fatal(err)
	}
	w.Open()
	return d, stop
}

// badDiskDefinition has a step that fails once, a wait, and another step.
func badDiskDefinition() *workflow.Definition {
	return &workflow.Definition{
		Name: "bad disk", Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(3 * time.Millisecond)}),
			workflow.Wait("wait", 150*time.Millisecond),
			workflow.MessageNode("text", nil),
			workflow.End("done", workflow.Converted),
		},
		Edges: []workflow.Edge{
			workflow.On("call", "completed", "wait"), workflow.To("wait", "text"), workflow.On("text", "success", "done"),
		},
	}
}

// The disk is full or broken again and again, for one operation or for longer, at every
// stage of many leads' lives, and the power is cut meanwhile. Callers get an error that
// says what to do, or what they asked for is on disk. Once the disk works again, all
// leads go on, and nothing is done twice. Another engine runs what the power cuts left
// to the end: everything that was acknowledged is there, everything that was begun is on
// record, and no step begins for a lead whose removal was acknowledged.
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
	w := world.New(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		d.note(func(p *promises) { p.attempts[a.IdempotencyKey] = true; made[a.IdempotencyKey]++ })
		time.Sleep(time.Duration(a.LeadID.Seq()%7) * time.Millisecond)
		if a.Node.Type == workflow.VoiceCall && a.Number == 1 {
			return engine.Result{}, errors.New("busy")
		}
		return engine.Result{}, nil
	}, engine.Hook{Name: "none", Run: func(context.Context, engine.HookEvent) error { return nil }})
	def := badDiskDefinition()
	wf = w.Activate(def.Nodes, def.Edges...)
	var stop func()
	d, stop = onBadDisk(w, rand.New(rand.NewPCG(seed, 1)))
	t.Cleanup(stop) // after the world is closed

	// again asks until it is not refused because of the disk.
	again := func(ask func() error) error {
		for {
			err := ask()
			if err == nil || errors.Is(err, lead.ErrConflict) {
				return err
			}
			if text := err.Error(); !strings.Contains(text, "make room on the disk") && !strings.Contains(text, "check the system log") &&
				!strings.Contains(text, "must be allowed to write") {
				t.Errorf("the error does not say what to do: %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	var callers sync.WaitGroup
	for i := range people {
		callers.Go(func() {
			time.Sleep(time.Duration(i) * 300 * time.Millisecond)
			var l lead.Lead
			again(func() (err error) { l, err = w.Eng.Enroll(world.Background, wf, world.Person(i)); return err })
			d.note(func(p *promises) { p.enrolled[l.ID] = true })
			if i%3 > 0 {
				return
			}
			time.Sleep(time.Duration(i%17) * 10 * time.Millisecond)
			if again(func() error { _, err := w.Eng.Remove(world.Background, wf, l.ID); return err }) == nil {
				d.note(func(p *promises) { p.removed[l.ID] = true })
			}
		})
	}
	for len(cuts) < 8 {
		for range 18 {
			// Longer than the engine rests after a failure, or it would hardly meet one.
			d.breaks()
			time.Sleep(time.Duration(rng.IntN(160)) * time.Millisecond)
			d.mend()
			time.Sleep(time.Duration(rng.IntN(160)) * time.Millisecond)
		}
		cuts = append(cuts, d.cut())
	}
	callers.Wait()
	time.Sleep(time.Minute)
	synctest.Wait()
	t.Logf("%d operations failed; %d leads were enrolled, %d removed; %d attempts", d.failed, len(d.enrolled), len(d.removed), len(made))
	if d.failed < 5 {
		t.Error("the test tests less than it says")
	}
	if err := w.Eng.Health(world.Background); err != nil {
		t.Errorf("the disk is well again: %v", err)
	}
	w.ExpectCounts(wf, map[lead.State]int64{
		lead.Completed: int64(people - len(d.removed)), lead.Removed: int64(len(d.removed)),
	})
	for id := range d.enrolled {
		l := lead.Lead{WorkflowID: wf, ID: id}
		if !d.removed[id] {
			w.ExpectPath(l, "call=completed wait=completed text=success done=converted")
		}
	}
	for key, n := range made {
		if n != 1 {
			t.Errorf("attempt %s was made %d times", key, n)
		}
	}
	return cuts, wf
}

// goesOn runs an engine on what a power cut left, to the end.
func (c *afterCut) goesOn(t *testing.T, wf lead.WorkflowID) {
	time.Sleep(time.Minute) // the clock of this bubble has begun when that of the other did
	dir := t.TempDir()
	if err := c.files.WriteTo(dir, ""); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(world.Background, filepath.Join(dir, "leads.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	flow, err := life.NewFlow(badDiskDefinition(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := world.New(t, nil)
	w.Close()
	w.Store = s
	var mu sync.Mutex // guards leads
	leads := map[lead.ID]*cutLead{}
	world.Handle(&w.Config, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		leads[a.LeadID].broken(t, leads[a.LeadID].Called(life.Call{
			Attempt: life.Attempt{Step: a.StepID, Number: a.Number}, Key: a.IdempotencyKey, Redelivered: a.Redelivered,
		}))
		return engine.Result{}, nil
	})
	if w.Eng, err = engine.New(s, w.Config); err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	there, err := w.Eng.Leads(world.Background, wf, engine.LeadFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range there {
		cut := &cutLead{left: life.Sight{Lead: l, Steps: w.History(l)}}
		cut.Died()
		if c.removed[l.ID] {
			cut.broken(t, cut.Removed(l.State, false, life.InFlight(cut.left.Steps)))
		}
		cut.broken(t, cut.Check(cut.left))
		cut.possible(t, flow, cut.left)
		leads[l.ID] = cut
		for _, s := range cut.left.Steps {
			for _, a := range s.Attempts {
				recorded[fmt.Sprintf("%s/%d", s.ID, a.Number)] = true
			}
		}
	}
	for id := range c.enrolled {
		if leads[id] == nil {
			t.Errorf("lead %s was acknowledged, and is not there", id)
		}
	}
	for key := range c.attempts {
		if !recorded[key] {
			t.Errorf("attempt %s was made, and is not on record", key)
		}
	}
	if err := w.Eng.Start(world.Background); err != nil {
		t.Fatal(err)
	}
	defer w.Eng.Shutdown(world.Background)
	time.Sleep(time.Hour)
	synctest.Wait()
	counts := map[lead.State]int64{}
	for id, cut := range leads {
		l := w.Lead(cut.left.Lead)
		is := life.Sight{Lead: l, Steps: w.History(l)}
		cut.broken(t, slices.Concat(is.Check(), is.Since(cut.left), cut.Check(is)))
		cut.possible(t, flow, is)
		counts[l.State]++
		if !l.State.Final() {
			t.Errorf("lead %s is %s in the end: %s", id, l.State, w.Path(l))
		}
	}
	t.Logf("%d leads and %d removals were acknowledged; in the end %v", len(c.enrolled), len(c.removed), counts)
}

// cutLead is a lead that a power cut has left, and who watches it go on.
type cutLead struct {
	life.Witness
	left life.Sight
}

func (c *cutLead) broken(t *testing.T, faults []life.Fault) {
	t.Helper()
	for _, f := range faults {
		t.Errorf("lead %s: %s", c.left.Lead.ID, f)
	}
}

// possible checks that a life can have led to what is seen of the lead.
func (c *cutLead) possible(t *testing.T, f *life.Flow, is life.Sight) {
	t.Helper()
	if _, err := life.Replay(f, life.Record{Lead: is.Lead, Steps: is.Steps}); err != nil {
		t.Errorf("lead %s: %v", c.left.Lead.ID, err)
	}
}
