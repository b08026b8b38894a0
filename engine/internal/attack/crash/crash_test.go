package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
	"github.com/leadflow-go/leadflow/store/storetest"
)

var (
	rounds    = flag.Int("crash.rounds", shortDose(), "how often TestEveryLeadOutlivesSIGKILL kills its child: 1000 in a long run")
	leadsFlag = flag.Int("crash.leads", 12, "how many leads it enrolls between two kills")
)

func shortDose() int {
	if world.RaceEnabled {
		return 16
	}
	return 50
}

// A child process that runs an engine on a real file is killed with SIGKILL again and
// again, at random times and at each of points, and restarted on the same file. Every
// third time the power is cut too: what SQLite had not synced is lost, in part or
// completely, or is garbage. Promises 1, 2, 3, 4, 5, 7, 8, 9, 10 and 13 must always hold.
//
// The parent is the outside world, and records what it sees. Handlers and hooks report
// to it before they do anything, and then do what it answers. It enrolls and removes
// leads, suppresses people and sends callbacks; if a kill lost the acknowledgement of a callback, it sends
// the callback again, as a provider would. After each kill it reads a copy of the file,
// so it knows what the next process will find, and what that process may do. At the end
// it reads every lead's history.
//
// The seed is logged. LEADFLOW_SEED repeats the same scripts and kills, as far as two
// processes can; -crash.rounds makes the test longer.
func TestEveryLeadOutlivesSIGKILL(t *testing.T) {
	r := newRun(t, storetest.Seed(t))
	defer r.end()
	for r.round = range *rounds {
		r.live(r.plan())
		r.powerDown()
		r.survey()
	}
	r.round = *rounds
	r.live(plan{last: true})
	r.powerDown()
	r.survey()
	r.verify()
	r.report()
}

// patience is the longest time without an event while leads are live.
const patience = 30 * time.Second

// run is the parent. Only the test's goroutine uses it.
type run struct {
	*testing.T
	seed    uint64
	path    string
	log     string // what the child that lives does to the file
	disk    *disktest.Disk
	id      lead.WorkflowID
	flow    *life.Flow
	round   int
	faults  int
	begun   time.Time
	actions chan func() // what is to be done at its time
	over    chan struct{}

	planned plan
	child   *process
	started time.Time      // the child
	counted map[string]int // events of this life by kind
	lastID  int64
	replies map[int64]func(event)
	status  struct{ asked, dirty bool }
	died    map[string]int  // how often at which point
	missed  map[string]bool // points that the last plan for them did not come to
	doomed  []*doomed

	witness
	calls   map[lead.ID][]lead.Call // of the log, in the end
	figures struct {
		dispatches, judged, redeliveries, retries, callbacks, resent, refused, hooks int
		enrolled, removed, pending, lateRemovals, inCommit, starting, timeouts       int
		cuts, losses, doomed, suppressed, broughtBack                                int
	}
}

func newRun(t *testing.T, seed uint64) *run {
	r := &run{
		T: t, seed: seed, path: filepath.Join(t.TempDir(), base), log: filepath.Join(t.TempDir(), "log"), begun: time.Now(),
		actions: make(chan func(), 1), over: make(chan struct{}), died: map[string]int{}, missed: map[string]bool{},
		witness: newWitness(),
	}
	var err error
	if r.flow, err = life.NewFlow(definition(), tests); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	s, err := sqlite.Open(ctx, r.path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := engine.Config{Logger: slog.New(slog.DiscardHandler)}
	world.Handle(&c, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil })
	eng, err := engine.New(s, c)
	if err == nil {
		err = eng.Start(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	made, err := eng.CreateWorkflow(ctx, definition())
	if err == nil {
		_, err = eng.ActivateWorkflow(ctx, made.ID)
	}
	if err := errors.Join(err, eng.Shutdown(ctx), s.Close()); err != nil {
		t.Fatal(err)
	}
	r.id = made.ID
	there, err := disktest.Read(filepath.Dir(r.path), base)
	if err != nil {
		t.Fatal(err)
	}
	r.disk = disktest.New(there)
	return r
}

// end leaves no process behind when the test ends.
func (r *run) end() {
	close(r.over)
	if r.child != nil {
		r.child.kill()
	}
}

// fault reports a broken promise.
func (r *run) fault(format string, args ...any) {
	r.Helper()
	r.Errorf("round %d: "+format, append([]any{r.round}, args...)...)
	if r.faults++; r.faults == 20 {
		r.Fatalf("enough; replay with LEADFLOW_SEED=%d", r.seed)
	}
}

// after calls f when d has passed, unless the present child is dead by then.
func (r *run) after(d time.Duration, f func()) {
	child := r.child
	time.AfterFunc(d, func() {
		select {
		case r.actions <- func() {
			if r.child == child {
				f()
			}
		}:
		case <-r.over:
		}
	})
}

// count counts an event, and kills the child if the plan waits for it.
func (r *run) count(kind string) {
	r.counted[kind]++
	if p := r.planned; p.on == kind && p.count == r.counted[kind] {
		r.killAfter(p.after)
	}
}

func (r *run) killAfter(d time.Duration) {
	child := r.child
	if d == 0 {
		child.kill()
		return
	}
	time.AfterFunc(d, child.kill) // not through the loop, which may be busy
}

// live runs the child until it is dead.
func (r *run) live(p plan) {
	r.counted, r.replies = map[string]int{}, map[int64]func(event){}
	r.status.asked, r.status.dirty = false, false
	r.planned = p
	r.started = time.Now()
	r.child = r.start(p)
	silence := time.NewTimer(patience)
	defer silence.Stop()
	for {
		select {
		case ev, more := <-r.child.events:
			if !more {
				r.buried()
				return
			}
			r.hear(ev)
			if ev.Kind != "reply" && ev.Kind != "committed" && ev.Kind != "commit" {
				silence.Reset(patience)
			}
		case f := <-r.actions:
			f()
		case <-silence.C:
			r.child.kill()
			for range r.child.events {
			}
			r.planned = plan{}
			r.powerDown()
			r.survey()
			r.stuck()
		}
	}
}

// buried checks how the child ended.
func (r *run) buried() {
	p := r.child
	r.child = nil
	for _, l := range r.leads {
		l.seen.Died()
	}
	errs := p.errors.String()
	for line := range strings.Lines(errs) {
		for _, bad := range []string{"WARNING: DATA RACE", "panic:", "fatal error:", "level=ERROR msg=\"leadflow: the store", "level=ERROR msg=\"leadflow: a lead cannot"} {
			if strings.HasPrefix(line, bad) || strings.HasPrefix(bad, "level") && strings.Contains(line, bad) {
				r.fault("the child says:\n%s", errs)
				return
			}
		}
	}
	if r.planned.last {
		if p.exit != nil || r.counted["bye"] != 1 {
			r.fault("the child did not end in peace: %v\n%s", p.exit, errs)
		}
		return
	}
	if p.exit == nil || p.cmd.ProcessState.ExitCode() != -1 {
		r.fault("the child was not killed (%s) but ended: %v\n%s", r.planned, p.exit, errs)
	}
	if r.counted["commit"] > r.counted["committed"] {
		r.figures.inCommit++
	}
	if r.counted["ready"] == 0 {
		r.figures.starting++
	}
}

// hear handles an event from the child.
func (r *run) hear(ev event) {
	r.count(ev.Kind)
	switch ev.Kind {
	case "ready":
		if !r.planned.last {
			r.killAfter(r.planned.longest())
		}
		r.ready()
		r.doom()
	case "point":
		r.died[ev.Node]++
		r.missed[ev.Node] = false
	case "dispatch":
		r.dispatched(ev)
	case "hook":
		r.hooked(ev)
	case "detached":
		r.detached(ev)
	case "cut":
		r.fault("a live handler of lead %s was cut, step %s: %s", ev.Lead, ev.Step, ev.Error)
	case "reply":
		if reply := r.replies[ev.ID]; reply != nil {
			delete(r.replies, ev.ID)
			reply(ev)
			r.askWhetherOver()
		}
	case "committed":
		r.status.dirty = true
		r.askWhetherOver()
	}
}

// askWhetherOver asks the last child after each commit how many leads are live, and
// tells it to quit when none is.
func (r *run) askWhetherOver() {
	if !r.planned.last || r.status.asked || !r.status.dirty || r.owed > 0 {
		return
	}
	r.status.asked, r.status.dirty = true, false
	r.command(command{Kind: "status"}, func(ev event) {
		r.status.asked = false
		switch {
		case ev.Error != "":
			r.fault("status: %s", ev.Error)
		case ev.Live == 0 && r.owed == 0:
			r.send(command{Kind: "quit"})
		default:
			r.askWhetherOver()
		}
	})
}

func (r *run) report() {
	f := r.figures
	r.Logf("%d rounds in %s: %d kills inside a commit, %d while starting; %d leads, %d removed at once, %d pending, %d final before",
		*rounds, time.Since(r.begun).Round(time.Millisecond), f.inCommit, f.starting, f.enrolled, f.removed, f.pending, f.lateRemovals)
	r.Logf("%d dispatches, %d of them first ones of a process, %d redeliveries and %d retries; %d timeouts; %d callbacks, %d sent again after a kill, %d refused; %d hooks",
		f.dispatches, f.judged, f.redeliveries, f.retries, f.timeouts, f.callbacks, f.resent, f.refused, f.hooks)
	var died []string
	for _, p := range points {
		died = append(died, fmt.Sprint(p.name, " ", r.died[p.name]))
		if r.died[p.name] == 0 && *rounds >= 50 {
			r.Errorf("the child was never killed at %q: the test tests less than it says", p.name)
		}
	}
	r.Logf("%d suppressions; %d times somebody who is suppressed was to be enrolled", f.suppressed, f.broughtBack)
	r.Logf("kills at points: %s; %d power cuts, of which %d lost something; %d workflows ended meanwhile",
		strings.Join(died, ", "), f.cuts, f.losses, f.doomed)
	if *rounds < 50 {
		return
	}
	for what, n := range map[string]int{
		"kill inside a commit": f.inCommit, "redelivery": f.redeliveries, "retry": f.retries, "timeout": f.timeouts,
		"suppression": f.suppressed, "enrollment of somebody who is suppressed": f.broughtBack, "callback sent again": f.resent, "callback refused": f.refused, "removal at once": f.removed, "pending removal": f.pending,
		"power cut that loses something": f.losses,
	} {
		if n == 0 {
			r.Errorf("in %d rounds there was no %s: the test tests less than it says", *rounds, what)
		}
	}
}

func TestMain(m *testing.M) {
	if path := os.Getenv(fileEnv); path != "" {
		if err := (&child{waiting: map[int64]chan command{}}).run(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
