package engines

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

var racesFlag = flag.Int("engines.races", 60, "how many persons each race of TestSuppressionsRaceOnThreeEngines takes")

// A person is suppressed at one of three engines, while the two others start, retry, call
// back, enroll or import. Nothing begins after the answer, and nobody comes back (promise
// 13). TestEveryLeadOutlivesItsEngines has the like with engines that die.
func TestSuppressionsRaceOnThreeEngines(t *testing.T) {
	r := &suppressRaces{scripts: map[lead.WorkflowID]func(engine.Attempt) (engine.Result, error){}, calls: map[lead.ID][]raceCall{}}
	r.fleet = newFleet(t, engines, r.handle)
	for name, race := range map[string]func() []*raced{
		"start": r.start, "retry": r.retry, "callback": r.callback, "enrollment": r.enrollment, "import": r.importing, "rename": r.rename,
	} {
		t.Run(name, func(t *testing.T) { r.judge(t, race()) })
	}
	for i, e := range r.engines {
		if proof, err := e.VerifyAudit(ctx); err != nil || proof.Entries < int64(*racesFlag) {
			t.Errorf("engine %d: %+v, %v", i, proof, err)
		}
	}
}

// suppressRaces are three engines of this process, with a witness. A tick stands for a
// moment: of two moments the later has the higher one.
type suppressRaces struct {
	*fleet
	ticks   atomic.Int64
	persons int

	mu      sync.Mutex
	scripts map[lead.WorkflowID]func(engine.Attempt) (engine.Result, error)
	calls   map[lead.ID][]raceCall
}

// raceCall is a call of a handler.
type raceCall struct {
	begun  int64
	step   lead.StepID
	number int
}

// raced is a person who is suppressed in a race.
type raced struct {
	phone string
	first int // the engine that is asked first

	mu       sync.Mutex
	leads    []lead.ID // acknowledged
	inFlight []lead.ID // when the suppression was acknowledged
	fresh    int       // suppressions that were acknowledged as new
	stopped  int64     // the first of them
	faults   []string
}

func (p *raced) fault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

func (r *suppressRaces) handle(_ context.Context, a engine.Attempt) (engine.Result, error) {
	c := raceCall{r.ticks.Add(1), a.StepID, a.Number} // before anything that may take time
	r.mu.Lock()
	r.calls[a.LeadID] = append(r.calls[a.LeadID], c)
	does := r.scripts[a.WorkflowID]
	r.mu.Unlock()
	if does == nil || a.Node.ID != "call" {
		return engine.Result{}, nil
	}
	return does(a)
}

// stage activates a workflow: after a wait, if it is not 0, a call, which does as the
// script says, and a message.
func (r *suppressRaces) stage(wait time.Duration, does func(engine.Attempt) (engine.Result, error)) lead.WorkflowID {
	def := callWaitText(time.Millisecond)
	def.Nodes[0] = def.Nodes[0].WithRetry(workflow.Retry{MaxAttempts: 4, Delay: workflow.Duration(time.Millisecond)})
	if wait != 0 {
		def.Entry = "before"
		def.Nodes = append(def.Nodes, workflow.Wait("before", wait))
		def.Edges = append(def.Edges, workflow.To("before", "call"))
	}
	wf := r.activate(0, def)
	r.mu.Lock()
	r.scripts[wf] = does
	r.mu.Unlock()
	return wf
}

// people returns new persons.
func (r *suppressRaces) people(n int) []*raced {
	list := make([]*raced, n)
	for i := range list {
		r.persons++
		list[i] = &raced{phone: fmt.Sprintf("+1415%07d", 3_000_000+r.persons), first: r.persons}
	}
	return list
}

// each plays the persons, some at the same time.
func (r *suppressRaces) each(people []*raced, play func(i int, p *raced)) []*raced {
	next := atomic.Int64{}
	var lanes sync.WaitGroup
	for range 12 {
		lanes.Go(func() {
			for i := int(next.Add(1) - 1); i < len(people); i = int(next.Add(1) - 1) {
				play(i, people[i])
			}
		})
	}
	lanes.Wait()
	return people
}

// together runs all functions concurrently, each after a little while of its own.
func together(acts ...func()) {
	var all sync.WaitGroup
	for _, act := range acts {
		pause := rand.N(2 * time.Millisecond)
		all.Go(func() {
			time.Sleep(pause)
			act()
		})
	}
	all.Wait()
}

// eng is one of the engines: others than for other k.
func (r *suppressRaces) eng(p *raced, k int) *engine.Engine { return r.engines[(p.first+k)%engines] }

func (r *suppressRaces) enroll(p *raced, k int, wf lead.WorkflowID) (lead.Lead, bool) {
	begun := r.ticks.Add(1)
	l, err := r.eng(p, k).Enroll(ctx, wf, lead.Contact{PhoneNumber: p.phone})
	r.enrolled(p, begun, l.ID, err)
	return l, err == nil
}

// enrolled judges the answer to an enrollment.
func (r *suppressRaces) enrolled(p *raced, begun int64, id lead.ID, err error) {
	p.mu.Lock()
	late := p.stopped != 0 && p.stopped < begun
	if err == nil {
		p.leads = append(p.leads, id)
	}
	p.mu.Unlock()
	switch {
	case late && !errors.Is(err, lead.ErrSuppressed):
		p.fault("the person is enrolled after the suppression: %v", err)
	case err != nil && !errors.Is(err, lead.ErrSuppressed) && !errors.Is(err, lead.ErrContactLive):
		p.fault("Enroll: %v", err)
	}
}

func (r *suppressRaces) suppress(p *raced, k int) {
	r.suppressAs(p, k, engine.Suppress{PhoneNumber: p.phone})
}

func (r *suppressRaces) suppressAs(p *raced, k int, as engine.Suppress) {
	s, err := r.eng(p, k).Suppress(ctx, as)
	at := r.ticks.Add(1)
	if err != nil {
		p.fault("Suppress: %v", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped == 0 || at < p.stopped {
		p.stopped = at
	}
	if s.New {
		p.fresh++
	}
	for _, l := range s.Leads {
		if l.State.InFlight() {
			p.inFlight = append(p.inFlight, l.ID)
		}
	}
}

// called waits until a handler has been called for the lead so many times.
func (r *suppressRaces) called(id lead.ID, times int) (last raceCall) {
	r.until("a lead is called", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		calls := r.calls[id]
		if len(calls) >= times {
			last = calls[len(calls)-1]
		}
		return len(calls) >= times
	})
	return last
}

// The first step, the next one, and another suppression of the person.
func (r *suppressRaces) start() []*raced {
	var flows []lead.WorkflowID
	for ms := range 6 {
		flows = append(flows, r.stage(time.Duration(1+2*ms)*time.Millisecond, nil))
	}
	return r.each(r.people(*racesFlag), func(i int, p *raced) {
		r.enroll(p, 0, flows[i%len(flows)])
		r.enroll(p, 1, flows[(i+1)%len(flows)])
		acts := []func(){func() { r.suppress(p, 2) }}
		if i%2 == 0 {
			acts = append(acts, func() { r.suppress(p, 1) })
		}
		together(acts...)
	})
}

func (r *suppressRaces) retry() []*raced {
	wf := r.stage(0, func(a engine.Attempt) (engine.Result, error) {
		return engine.Result{}, engine.RetryAfter(errors.New("busy"), rand.N(8*time.Millisecond))
	})
	return r.each(r.people(*racesFlag), func(i int, p *raced) {
		l, _ := r.enroll(p, 0, wf)
		r.called(l.ID, 1+i%3)
		together(func() { r.suppress(p, 1+i%2) })
	})
}

// A callback by which the lead would go on, or the call would be made again.
func (r *suppressRaces) callback() []*raced {
	wf := r.stage(0, func(engine.Attempt) (engine.Result, error) { return engine.InFlight(""), nil })
	return r.each(r.people(*racesFlag), func(i int, p *raced) {
		l, _ := r.enroll(p, 0, wf)
		c := r.called(l.ID, 1)
		answer := engine.Callback{Outcome: "completed", Attempt: c.number}
		if i%3 == 0 {
			answer = engine.Callback{Error: "busy", Attempt: c.number}
		}
		together(func() { r.suppress(p, 1) }, func() {
			if _, err := r.eng(p, 2).CompleteStep(ctx, c.step, answer); err != nil && !errors.Is(err, lead.ErrConflict) {
				p.fault("CompleteStep: %v", err)
			}
		})
		if i%2 == 0 { // else it waits for its callback, of which nothing else depends
			return
		}
		if _, err := r.eng(p, 0).CompleteStep(ctx, c.step, engine.Callback{Outcome: "late"}); err != nil && !errors.Is(err, lead.ErrConflict) {
			p.fault("CompleteStep: %v", err)
		}
	})
}

func (r *suppressRaces) enrollment() []*raced {
	flows := []lead.WorkflowID{r.stage(0, nil), r.stage(0, nil)}
	return r.each(r.people(*racesFlag), func(i int, p *raced) {
		acts := []func(){func() { r.suppress(p, 2) }}
		if i%4 == 0 {
			acts = append(acts, func() { r.suppress(p, 1) })
		}
		for k := range 4 {
			acts = append(acts, func() { r.enroll(p, k%2, flows[k/2]) })
		}
		together(acts...)
		for k := range engines {
			r.enroll(p, k, flows[0])
		}
	})
}

// The lead gets the external id by which the person is suppressed. The later of the two
// stops the lead.
func (r *suppressRaces) rename() []*raced {
	wf := r.stage(3*time.Millisecond, nil)
	return r.each(r.people(*racesFlag), func(i int, p *raced) {
		l, _ := r.enroll(p, 0, wf)
		id := "id of " + p.phone
		acts := []func(){func() {
			if _, err := r.eng(p, 1).UpdateLead(ctx, wf, l.ID, engine.LeadUpdate{ExternalID: &id}); err != nil && !errors.Is(err, lead.ErrLeadFinal) {
				p.fault("UpdateLead: %v", err)
			}
		}}
		for k := range 1 + i%2 {
			acts = append(acts, func() { r.suppressAs(p, 2-k, engine.Suppress{ExternalID: id}) })
		}
		together(acts...)
		p.stopped = r.ticks.Add(1)
		if now, err := r.eng(p, 0).Lead(ctx, wf, l.ID); err != nil || now.State == lead.PendingRemoval {
			p.inFlight = append(p.inFlight, l.ID)
		}
	})
}

// Two engines import a list, while its persons are suppressed at the third.
func (r *suppressRaces) importing() []*raced {
	wf := r.stage(0, nil)
	const list = 20
	var all []*raced
	for group := range max(1, *racesFlag/list) {
		people := r.people(list)
		imports := func(k int) {
			begun := r.ticks.Add(1)
			report, err := r.engines[(group+k)%engines].EnrollAll(ctx, wf, func(yield func(lead.Contact, error) bool) {
				for _, p := range people {
					if !yield(lead.Contact{PhoneNumber: p.phone}, nil) {
						return
					}
				}
			}, engine.OnRow(func(row int, id lead.ID, err error) { r.enrolled(people[row-1], begun, id, err) }))
			if err != nil || report.Enrolled+report.Rejected != list {
				r.Errorf("EnrollAll: %+v, %v", report, err)
			}
		}
		acts := []func(){func() { imports(0) }, func() { imports(1) }}
		for _, p := range people {
			p.first = group
			acts = append(acts, func() { r.suppress(p, 2) })
		}
		together(acts...)
		for k := range engines {
			imports(k)
		}
		all = append(all, people...)
	}
	return all
}

// mostLate is how many of n handlers may be seen after the answer to the suppression that
// were called before it: the scheduler may stop a goroutine before its first instruction.
func mostLate(n int) int { return 4 + n/200 }

// judge waits until no lead of the persons is in flight but for a callback, and judges.
func (r *suppressRaces) judge(t *testing.T, people []*raced) {
	late, found := 0, 0
	for i, p := range people {
		var leads []lead.Lead
		r.until("no lead of a suppressed person goes on", func() (over bool) {
			var err error
			if leads, err = r.engines[i%engines].ContactLeads(ctx, engine.ContactFilter{PhoneNumber: p.phone}); err != nil {
				t.Fatal(err)
			}
			return !slices.ContainsFunc(leads, func(l lead.Lead) bool { return !l.State.Final() && l.Node != "call" })
		})
		if p.fresh != 1 {
			p.fault("%d suppressions are new", p.fresh)
		}
		if len(leads) != len(p.leads) {
			p.fault("the person was enrolled %d times, and is %d leads", len(p.leads), len(leads))
		}
		for _, l := range leads {
			found++
			if l.State != lead.Completed && (l.Removal == nil || !l.Removal.SkipRetries) {
				p.fault("lead %s is %s, and not removed: %+v", l.ID, l.State, l.Removal)
			}
			r.mu.Lock()
			calls := slices.DeleteFunc(slices.Clone(r.calls[l.ID]), func(c raceCall) bool { return c.begun < p.stopped })
			r.mu.Unlock()
			if len(calls) == 1 && slices.Contains(p.inFlight, l.ID) {
				late++
				continue
			}
			for _, c := range calls {
				p.fault("attempt %d of step %s begins after the suppression", c.number, c.step)
			}
		}
		for _, fault := range p.faults {
			t.Errorf("%s: %s", p.phone, fault)
		}
	}
	t.Logf("%d persons, %d leads, %d called as the answer was given", len(people), found, late)
	if late > mostLate(len(people)) {
		t.Errorf("%d of %d persons were called after they had been suppressed", late, len(people))
	}
	if found == 0 {
		t.Error("nobody was a lead")
	}
}
