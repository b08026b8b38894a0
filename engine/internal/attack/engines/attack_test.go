//go:build unix

package engines

import (
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/storetest"
)

var troublesFlag = flag.Int("engines.troubles", shortDose(), "how many troubles TestEveryLeadOutlivesItsEngines makes")

func shortDose() int {
	if world.RaceEnabled {
		return 6
	}
	return 11
}

const engines = 3

// Processes that share a database are killed, stopped, shut down and cut off from it
// again and again, and the database is restarted. Their clocks are up to an hour apart.
// Promises 1, 2, 7, 8, 9, 10, 13, 16 and 17 must hold.
//
// The parent is the outside world, and the witness: handlers report to it before they do
// anything, and then do what it answers. It enrolls, removes and suppresses people, updates
// them, sends callbacks, pauses, resumes and cancels workflows, each time at any of the
// engines, and repeats what was not acknowledged, as a client would. It judges what it
// has seen of each lead when all is over: see story.
//
// The seed is logged. LEADFLOW_SEED repeats the same requests and troubles, as far as
// processes can; -engines.troubles makes the test longer.
func TestEveryLeadOutlivesItsEngines(t *testing.T) {
	a := newArena(t, storetest.Seed(t))
	for _, s := range a.slots {
		a.start(s)
	}
	a.until("the engines run", func() bool { return a.running() == engines })
	a.main = a.newFlow()
	if a.main == nil {
		t.Fatal("no workflow")
	}
	calm := make(chan struct{})
	var busy, people sync.WaitGroup
	busy.Go(func() { a.enrollAll(calm, &people) })
	busy.Go(func() { a.pauseAgainAndAgain(calm) })
	busy.Go(func() { a.cancelAgainAndAgain(calm) })
	a.makeTroubles(*troublesFlag)
	close(calm)
	a.await("requests have their answers", &busy)
	a.finish(&people)
	close(a.over)
	a.verify()
	a.report()
}

// arena is the parent.
type arena struct {
	*testing.T
	seed   uint64
	lease  time.Duration
	server *server
	slots  []*slot
	main   *flow
	level  bool          // the clocks of all processes are the same
	over   chan struct{} // closed when nothing is to be asked any more
	// provide is called, with mu held, when a handler is called; nil: see called.
	provide func(l *process, ev event)
	begun   moment

	brakes sync.Mutex // held while the main workflow is being paused

	mu       sync.Mutex // guards what follows
	lives    int
	lastID   int64
	settled  bool     // all clocks are the same, and ahead of all before
	calm     bool     // no handler hangs any more
	mute     *process // whose handlers get no answers; nil for none
	all      []*process
	troubles []trouble // of all engines
	stories  map[lead.ID]*story
	people   []*person
	flows    []*flow
	doomed   *flow // to be cancelled; nil while there is none
	notes    []string
	figures  struct{ kills, stops, cuts, stalls, refusals, slow, leaves, restarts, reads, suppressions int }
}

// person is a contact whose enrollment was asked for.
type person struct {
	phone string
	flow  *flow
	asked moment
	times int       // that it was asked for
	acked []lead.ID // leads that were acknowledged

	stopped moment // that the person is suppressed was acknowledged
}

func newArena(t *testing.T, seed uint64) *arena {
	a := &arena{
		T: t, seed: seed, lease: 2 * time.Second, server: newServer(t), over: make(chan struct{}), begun: now(), stories: map[lead.ID]*story{},
	}
	for i := range engines {
		a.slots = append(a.slots, &slot{name: string(rune('A' + i)), proxy: newProxy(t, a.server.url)})
	}
	t.Cleanup(func() {
		a.mu.Lock()
		lives := slices.Clone(a.all)
		a.mu.Unlock()
		for _, l := range lives {
			a.kill(l)
		}
	})
	return a
}

// rand returns the random numbers of one thing, the same each time they are asked for.
func (a *arena) rand(parts ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, parts...)
	return rand.New(rand.NewPCG(a.seed, h.Sum64()))
}

// ahead is how far the clock of a process is ahead.
func (a *arena) ahead(number int) time.Duration {
	if a.level {
		return 0
	}
	if a.settled {
		return 2 * time.Hour // so that all that was due by any of them is
	}
	return time.Duration(a.rand("clock", number).IntN(3)) * 30 * time.Minute
}

// note remembers what was done, for a report of a failure. a.mu must be held.
func (a *arena) note(format string, args ...any) {
	a.notes = append(a.notes, fmt.Sprintf("%8d %s", time.Duration(now()-a.begun).Milliseconds(), fmt.Sprintf(format, args...)))
}

// patience is longer than anything takes.
const patience = 60 * time.Second

// until waits for a condition.
func (a *arena) until(what string, holds func() bool) {
	a.Helper()
	for began := time.Now(); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > patience {
			a.fail("not after %s: %s", patience, what)
		}
	}
}

func (a *arena) await(what string, group *sync.WaitGroup) {
	a.Helper()
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		a.fail("not after %s: %s", patience, what)
	}
}

// fail ends the test, with what the engines have logged.
func (a *arena) fail(format string, args ...any) {
	a.Helper()
	a.Errorf(format, args...)
	a.tellLive()
	close(a.over)
	a.mu.Lock()
	a.Logf("what was done:\n%s", strings.Join(a.notes, "\n"))
	lives := slices.Clone(a.all)
	a.mu.Unlock()
	for i, l := range lives {
		a.kill(l)
		if len(lives)-i <= engines {
			a.Logf("%s:\n%s", l.name, tail(l.stderr.String()))
		}
	}
	a.FailNow()
}

// tellLive says which leads are not final.
func (a *arena) tellLive() {
	a.mu.Lock()
	flows := slices.Clone(a.flows)
	a.mu.Unlock()
	for _, f := range flows {
		ev, ok := a.once(command{Kind: "leads", Workflow: f.id, Live: true, Full: true})
		if !ok {
			a.Logf("the leads of workflow %s cannot be read: %s", f.id, ev.Error)
			continue
		}
		a.mu.Lock()
		for i, l := range ev.Leads {
			text := ""
			if s := a.stories[l.ID]; s != nil {
				text = s.tell(a.begun)
			}
			if i < 5 {
				a.Logf("%s is %s:\n%s%s", l.ID, l.State, text, asJSON(ev.Steps[i]))
			}
		}
		a.mu.Unlock()
	}
}

// running returns how many engines run.
func (a *arena) running() (n int) {
	for _, s := range a.slots {
		if a.runs(s) != nil {
			n++
		}
	}
	return n
}

// runs returns the process of a slot if its engine runs, or nil.
func (a *arena) runs(s *slot) *process {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.life == nil {
		return nil
	}
	select {
	case <-s.life.ready:
		return s.life
	default:
		return nil
	}
}

// restart starts a process in a slot, and waits until its engine runs.
func (a *arena) restart(s *slot) {
	a.start(s)
	a.until(s.name+" runs", func() bool { return a.runs(s) != nil })
}

// finish brings all leads to their end: first with all engines, and then with one that
// is gone, whose leads the others must take over.
func (a *arena) finish(people *sync.WaitGroup) {
	a.mu.Lock()
	a.settled, a.calm = true, true
	a.mu.Unlock()
	for _, s := range a.slots {
		s.proxy.heal()
		if l := a.runs(s); l != nil {
			a.leave(l)
		}
		a.restart(s)
		a.release(nil)
	}
	a.await("people have their answers", people)
	// All engines are in order, so these, in shards of each, go their way though nobody
	// starts anew.
	var late sync.WaitGroup
	for i := range 3 * engines {
		late.Go(func() { a.person(1_000_000 + 7*i) })
	}
	a.await("late people have their answers", &late)
	a.until("no lead is live", func() bool { return a.live() == 0 })
	gone := a.slots[a.rand("gone").IntN(engines)]
	a.mu.Lock()
	a.mute = gone.life
	a.mu.Unlock()
	for i := range 3 * engines {
		late.Go(func() { a.person(2_000_000 + 7*i) })
	}
	a.until("some of them are called by the engine that is to be gone", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, s := range a.stories {
			for _, c := range s.calls {
				if c.by == a.mute && c.answered == 0 {
					return true
				}
			}
		}
		return false
	})
	if l := a.runs(gone); l != nil {
		a.kill(l)
	}
	a.await("the last people have their answers", &late)
	a.until("no lead is live, with an engine that is gone", func() bool { return a.live() == 0 })
	a.restart(gone)
}

// live returns how many leads are not final, or -1 if that is not known.
func (a *arena) live() (n int64) {
	a.mu.Lock()
	flows := slices.Clone(a.flows)
	a.mu.Unlock()
	for _, f := range flows {
		ev, ok := a.once(command{Kind: "workflow", Workflow: f.id})
		if !ok || ev.Refusal != "" {
			return -1
		}
		n += ev.Count
	}
	return n
}

// verify judges all leads.
func (a *arena) verify() {
	type found struct {
		lead  lead.Lead
		steps []lead.Step
		calls []lead.Call
	}
	all := map[lead.ID]found{}
	for _, f := range a.flows {
		var first event
		for i, s := range a.slots {
			ev, err := a.askInTheEnd(s.life, command{Kind: "leads", Workflow: f.id, Full: true})
			if err != nil || ev.Refusal != "" {
				a.Fatalf("%s: %v %s", s.name, err, ev.Error)
			}
			ev.ID = 0
			if i == 0 {
				first = ev
				continue
			}
			if diff := cmp.Diff(asJSON(first), asJSON(ev)); diff != "" {
				a.Errorf("%s and %s answer differently: %s", a.slots[0].name, s.name, diff)
			}
		}
		for i, l := range first.Leads {
			all[l.ID] = found{lead: l, steps: first.Steps[i]}
		}
		for _, c := range first.Calls {
			of, ok := all[c.LeadID]
			if !ok {
				a.Errorf("the call log has a call of lead %s, who is nobody", c.LeadID)
			}
			of.calls = append(of.calls, c)
			all[c.LeadID] = of
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	leads := map[string][]lead.ID{}
	for id, f := range all {
		leads[f.lead.PhoneNumber] = append(leads[f.lead.PhoneNumber], id)
		if a.stories[id] == nil {
			a.storyOf(id, f.lead.PhoneNumber)
		}
	}
	for _, p := range a.people {
		if n := len(leads[p.phone]); n > p.times {
			a.Errorf("%s was enrolled %d times, which was asked for %d times", p.phone, n, p.times)
		}
		for _, id := range p.acked {
			if _, ok := all[id]; !ok {
				a.Errorf("lead %s of %s was acknowledged, and is not there", id, p.phone)
			}
		}
		for _, id := range leads[p.phone] {
			a.stories[id].stopped = p.stopped
		}
	}
	e := &excuses{lease: a.lease, troubles: a.troubles}
	faulty := 0
	for id, s := range a.stories {
		f, ok := all[id]
		if !ok {
			a.Errorf("lead %s of %s was called, and is not there", id, s.phone)
			continue
		}
		faults := slices.Concat(s.judge(e, a.all), s.verify(f.lead, f.steps, f.calls))
		if len(faults) == 0 {
			continue
		}
		if faulty++; faulty <= 5 {
			a.Errorf("lead %s of %s:\n\t%s\n%s%s", id, s.phone, strings.Join(faults, "\n\t"), s.tell(a.begun), asJSON(f.steps))
		}
	}
	if faulty > 0 {
		a.Errorf("%d leads are not as they should be; what was done:\n%s", faulty, strings.Join(a.notes, "\n"))
	}
}

func (a *arena) askInTheEnd(l *process, cmd command) (event, error) {
	a.over = make(chan struct{})
	return a.ask(l, cmd, patience)
}

func asJSON(v any) string {
	text, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// report says what was tried.
func (a *arena) report() {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls, again, answers, removals := 0, 0, 0, 0
	for _, s := range a.stories {
		calls += len(s.calls)
		removals += len(s.removals)
		for _, c := range s.calls {
			if c.redelivered {
				again++
			}
		}
		for _, c := range s.answers {
			if c.acked != 0 {
				answers++
			}
		}
	}
	pauses, cancelled := 0, 0
	for _, f := range a.flows {
		pauses += len(f.pauses)
		if f.cancelled != 0 {
			cancelled++
		}
	}
	cut := 0
	for _, s := range a.slots {
		cut += s.proxy.cuts
	}
	f := a.figures
	a.Logf("%d leads, %d attempts, %d of them redelivered, %d callbacks, %d removals, %d suppressions, %d pauses, %d workflows cancelled, %d reads compared",
		len(a.stories), calls, again, answers, removals, f.suppressions, pauses, cancelled, f.reads)
	a.Logf("%d processes: %d killed, %d stopped, %d shut down; %d connections cut; %d times cut, %d held up, %d refused, %d slowed down; %d restarts of the database",
		len(a.all), f.kills, f.stops, f.leaves, cut, f.cuts, f.stalls, f.refusals, f.slow, f.restarts)
	if *troublesFlag >= shortDose() && (calls < 200 || again == 0 || removals < 20 || f.suppressions < 10 || pauses == 0) {
		a.Error("the test tests less than it says")
	}
}
