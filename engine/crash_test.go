package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
	"github.com/leadflow-go/leadflow/store/storetest"
)

var (
	crashRounds = flag.Int("crash.rounds", 50, "how often TestEveryLeadOutlivesSIGKILL kills its child: 1000 in a long run")
	crashLeads  = flag.Int("crash.leads", 12, "how many leads it enrolls between two kills")
)

// A child process that runs an engine on a real file is killed with SIGKILL
// again and again, at random moments and at each of crashPoints, and started anew
// on the same file. Every third time it is the power that is cut: what SQLite had
// not synced is lost, in part or altogether, or garbage. Promises 1, 2, 3, 4, 5,
// 7, 8, 9 and 10 must hold all the time.
//
// The parent is the world outside and the witness. Handlers and hooks tell it
// that they were called before they do anything, and do what it answers. It
// enrolls and removes leads and sends callbacks, those whose acknowledgement a
// kill swallowed again, as a provider would. After each kill it reads a copy of
// the file, so that it knows what the next process will find; what that may and
// may not do follows. At the end it reads every lead's history.
//
// The seed is logged. LEADFLOW_SEED plays the same scripts and the same kills,
// as nearly as two processes can; -crash.rounds makes it longer.
func TestEveryLeadOutlivesSIGKILL(t *testing.T) {
	r := newCrashRun(t, storetest.Seed(t))
	defer r.end()
	for r.round = range *crashRounds {
		r.live(r.plan())
		r.powerDown()
		r.survey()
	}
	r.round = *crashRounds
	r.live(crashPlan{last: true})
	r.powerDown()
	r.survey()
	r.verify()
	r.report()
}

// crashPatience is how long nothing may happen while leads are live.
const crashPatience = 30 * time.Second

// crashRun is the parent. All of it belongs to the goroutine of the test.
type crashRun struct {
	*testing.T
	seed    uint64
	path    string
	log     string // what the child that lives does to the file
	disk    *disktest.Disk
	id      lead.WorkflowID
	graph   *workflow.Graph
	round   int
	faults  int
	begun   time.Time
	actions chan func() // what is to be done at its time
	over    chan struct{}

	planned crashPlan
	child   *crashProcess
	counted map[string]int // events of this life by kind
	lastID  int64
	replies map[int64]func(crashEvent)
	status  struct{ asked, dirty bool }
	died    map[string]int  // how often at which point
	missed  map[string]bool // points that the last plan for them did not come to
	doomed  []*crashDoomed

	crashWitness
	figures struct {
		dispatches, redeliveries, retries, callbacks, resent, refused, hooks   int
		enrolled, removed, pending, lateRemovals, inCommit, starting, timeouts int
		cuts, losses, doomed                                                   int
	}
}

func newCrashRun(t *testing.T, seed uint64) *crashRun {
	r := &crashRun{
		T: t, seed: seed, path: filepath.Join(t.TempDir(), crashBase), log: filepath.Join(t.TempDir(), "log"), begun: time.Now(),
		actions: make(chan func(), 1), over: make(chan struct{}), died: map[string]int{}, missed: map[string]bool{},
		crashWitness: newCrashWitness(),
	}
	var err error
	if r.graph, err = workflow.Compile(crashDefinition()); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	s, err := sqlite.Open(ctx, r.path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nothing := engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil })
	eng, err := engine.New(s, engine.Config{
		Handlers: map[workflow.NodeType]engine.Handler{
			workflow.VoiceCall: nothing, workflow.Message: nothing, workflow.Application: nothing,
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err == nil {
		err = eng.Start(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	made, err := eng.CreateWorkflow(ctx, crashDefinition())
	if err == nil {
		_, err = eng.ActivateWorkflow(ctx, made.ID)
	}
	if err := errors.Join(err, eng.Shutdown(ctx), s.Close()); err != nil {
		t.Fatal(err)
	}
	r.id = made.ID
	there, err := disktest.Read(filepath.Dir(r.path), crashBase)
	if err != nil {
		t.Fatal(err)
	}
	r.disk = disktest.New(there)
	return r
}

// end leaves no process behind, whatever became of the test.
func (r *crashRun) end() {
	close(r.over)
	if r.child != nil {
		r.child.kill()
	}
}

// fault is a broken promise.
func (r *crashRun) fault(format string, args ...any) {
	r.Helper()
	r.Errorf("round %d: "+format, append([]any{r.round}, args...)...)
	if r.faults++; r.faults == 20 {
		r.Fatalf("enough; replay with LEADFLOW_SEED=%d", r.seed)
	}
}

// after has f done when d has passed, unless the child that lives now is dead by
// then.
func (r *crashRun) after(d time.Duration, f func()) {
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

// count notes that something has happened, and kills the child if that is what
// the plan waits for.
func (r *crashRun) count(kind string) {
	r.counted[kind]++
	if p := r.planned; p.on == kind && p.count == r.counted[kind] {
		r.killAfter(p.after)
	}
}

func (r *crashRun) killAfter(d time.Duration) {
	child := r.child
	if d == 0 {
		child.kill()
		return
	}
	time.AfterFunc(d, child.kill) // past the loop, which may be busy
}

// live runs the child until it is dead.
func (r *crashRun) live(plan crashPlan) {
	r.counted, r.replies = map[string]int{}, map[int64]func(crashEvent){}
	r.status.asked, r.status.dirty = false, false
	r.planned = plan
	r.child = r.start(plan)
	patience := time.NewTimer(crashPatience)
	defer patience.Stop()
	for {
		select {
		case ev, more := <-r.child.events:
			if !more {
				r.buried()
				return
			}
			r.hear(ev)
			if ev.Kind != "reply" && ev.Kind != "committed" && ev.Kind != "commit" {
				patience.Reset(crashPatience)
			}
		case f := <-r.actions:
			f()
		case <-patience.C:
			r.child.kill()
			for range r.child.events {
			}
			r.planned = crashPlan{}
			r.powerDown()
			r.survey()
			r.stuck()
		}
	}
}

// buried looks at how the child ended.
func (r *crashRun) buried() {
	p := r.child
	r.child = nil
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

// hear takes in what the child says.
func (r *crashRun) hear(ev crashEvent) {
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

// askWhetherOver has the last child say how many leads are live, anew after each
// commit, and quit when none is.
func (r *crashRun) askWhetherOver() {
	if !r.planned.last || r.status.asked || !r.status.dirty || r.owed > 0 {
		return
	}
	r.status.asked, r.status.dirty = true, false
	r.command(crashCommand{Kind: "status"}, func(ev crashEvent) {
		r.status.asked = false
		switch {
		case ev.Error != "":
			r.fault("status: %s", ev.Error)
		case ev.Live == 0 && r.owed == 0:
			r.send(crashCommand{Kind: "quit"})
		default:
			r.askWhetherOver()
		}
	})
}

func (r *crashRun) report() {
	f := r.figures
	r.Logf("%d rounds in %s: %d kills inside a commit, %d while starting; %d leads, %d removed at once, %d pending, %d final before",
		*crashRounds, time.Since(r.begun).Round(time.Millisecond), f.inCommit, f.starting, f.enrolled, f.removed, f.pending, f.lateRemovals)
	r.Logf("%d dispatches, %d of them redeliveries and %d retries; %d timeouts; %d callbacks, %d sent again after a kill, %d refused; %d hooks",
		f.dispatches, f.redeliveries, f.retries, f.timeouts, f.callbacks, f.resent, f.refused, f.hooks)
	var points []string
	for _, p := range crashPoints {
		points = append(points, fmt.Sprint(p.name, " ", r.died[p.name]))
		if r.died[p.name] == 0 && *crashRounds >= 50 {
			r.Errorf("the child was never killed at %q: the test tests less than it says", p.name)
		}
	}
	r.Logf("kills at points: %s; %d power cuts, of which %d lost something; %d workflows ended meanwhile",
		strings.Join(points, ", "), f.cuts, f.losses, f.doomed)
	if *crashRounds < 50 {
		return
	}
	for what, n := range map[string]int{
		"kill inside a commit": f.inCommit, "redelivery": f.redeliveries, "retry": f.retries, "timeout": f.timeouts,
		"callback sent again": f.resent, "callback refused": f.refused, "removal at once": f.removed, "pending removal": f.pending,
		"power cut that loses something": f.losses,
	} {
		if n == 0 {
			r.Errorf("in %d rounds there was no %s: the test tests less than it says", *crashRounds, what)
		}
	}
}
