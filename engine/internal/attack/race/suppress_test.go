package race

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Whoever has said stop is suppressed while something is about to happen to them. Nothing
// begins after the answer (promise 13).
func TestSuppressRaces(t *testing.T) {
	for name, hooked := range map[string]bool{"hooked": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			r := newRaces(t, hooked)
			for name, race := range map[string]func(r *races, t *testing.T){
				"start":      (*races).suppressStart,
				"starts":     (*races).suppressStarts,
				"retry":      (*races).suppressRetry,
				"callback":   (*races).suppressCallback,
				"enrollment": (*races).suppressEnrollment,
				"import":     (*races).suppressImport,
				"removal":    (*races).suppressRemoval,
				"rename":     (*races).suppressRename,
			} {
				t.Run(name, func(t *testing.T) { race(r, t) })
			}
		})
	}
}

// What else stops a person, in the same races.
func TestStopRaces(t *testing.T) {
	for name, stop := range map[string]func(p *play){
		"suppress a channel": func(p *play) { p.person.suppress(workflow.VoiceCall) },
		"remove a contact":   func(p *play) { p.person.remove() },
		"hold":               func(p *play) { p.person.hold(func() { time.Sleep(rand.N(3 * time.Millisecond)) }) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRaces(t, false)
			n := max(1, *leadsFlag/2)
			t.Run("start", func(t *testing.T) {
				r.checkPeople(t, r.racePeople(t, n, r.stageStart(t), func(p *play) { p.together(func() { stop(p) }) }))
			})
			t.Run("retry", func(t *testing.T) {
				r.checkPeople(t, r.racePeople(t, n, r.stageRetry(t), func(p *play) {
					p.line()
					p.together(func() { stop(p) })
				}))
			})
		})
	}
}

// stageStart has workflows whose first step begins after a few milliseconds.
func (r *races) stageStart(t *testing.T) (workflows []lead.WorkflowID) {
	t.Helper()
	for ms := 1; ms <= 12; ms++ {
		nodes, edges := path(workflow.CallNode("call", nil))
		nodes = append([]workflow.Node{workflow.Wait("wait", time.Duration(ms)*time.Millisecond)}, nodes...)
		workflows = append(workflows, r.stage(succeed, nodes, append(edges, workflow.To("wait", "call"))...))
	}
	return r.activateAll(t, workflows...)
}

// Suppress, twice, against the start of a step, and of the next one.
func (r *races) suppressStart(t *testing.T) {
	workflows := r.stageStart(t)
	people := r.racePeople(t, *leadsFlag, workflows, func(p *play) {
		acts := []func(){func() { p.person.suppress("") }}
		if p.i%4 == 0 {
			acts = append(acts, acts[0])
		}
		p.together(acts...)
	})
	r.check(t, workflows...)
	r.checkPeople(t, people)
}

// Suppress against the start of all leads of a draft that is activated, whose contacts are
// not in memory.
func (r *races) suppressStarts(t *testing.T) {
	nodes, edges := path(workflow.CallNode("call", nil))
	wf := r.stage(succeed, nodes, edges...)
	people := r.newPeople(t, *leadsFlag)
	r.importAll(t, wf, people)
	if t.Failed() {
		return
	}
	var plays []*play
	for i, h := range people {
		plays = append(plays, h.play(i, wf, h.enrolls[0].lead))
	}
	var activating sync.WaitGroup
	activating.Go(func() { r.activateAll(t, wf) })
	each(plays, func(p *play) {
		suppress := func() { p.person.suppress("") }
		p.together(suppress, suppress)
	})
	activating.Wait()
	r.check(t, wf)
	r.checkPeople(t, people)
}

// stageRetry has a workflow whose calls fail, and are made again soon.
func (r *races) stageRetry(t *testing.T) []lead.WorkflowID {
	t.Helper()
	nodes, edges := path(workflow.CallNode("call", nil).WithRetry(
		workflow.Retry{MaxAttempts: 4, Delay: workflow.Duration(time.Millisecond)}))
	return r.activateAll(t, r.stage(func(_ context.Context, tr *track, a engine.Attempt) (engine.Result, error) {
		if a.Node.Type != workflow.VoiceCall {
			return engine.Result{}, nil
		}
		if int64(a.Number) > a.LeadID.Seq()%3 {
			tr.atLine()
		}
		if a.Number == 4 {
			return engine.Result{}, nil
		}
		return engine.Result{}, engine.RetryAfter(world.ErrBusy, rand.N(8*time.Millisecond))
	}, nodes, edges...))
}

// Suppress against the retry that comes due.
func (r *races) suppressRetry(t *testing.T) {
	workflows := r.stageRetry(t)
	people := r.racePeople(t, *leadsFlag, workflows, func(p *play) {
		p.line()
		p.together(func() { p.person.suppress("") })
	})
	r.check(t, workflows...)
	r.checkPeople(t, people)
}

// Suppress against callbacks, before and after the handler has returned, by which the lead
// would go on, or the call would be made again.
func (r *races) suppressCallback(t *testing.T) {
	nodes, edges := path(workflow.CallNode("call", nil).WithRetry(
		workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Millisecond)}))
	workflows := r.activateAll(t, r.stage(func(ctx context.Context, tr *track, a engine.Attempt) (engine.Result, error) {
		if a.Node.Type != workflow.VoiceCall || a.Number > 1 {
			return engine.Result{}, nil
		}
		if a.LeadID.Seq()%2 == 0 {
			_, _ = gated(ctx, tr, a)
		}
		tr.atLine()
		return engine.InFlight("call"), nil
	}, nodes, edges...))
	people := r.racePeople(t, *leadsFlag, workflows, func(p *play) {
		p.line()
		call := p.track.lastCall()
		answer := engine.Callback{Outcome: "completed", Attempt: 1}
		if p.i%3 == 0 {
			answer = engine.Callback{Error: "busy", Attempt: 1}
		}
		p.together(p.track.open, func() { p.person.suppress("") }, func() { p.say(call.step, answer) })
		p.say(call.step, engine.Callback{Outcome: "late"})
	})
	r.check(t, workflows...)
	r.checkPeople(t, people)
}

// Suppress against enrollments in several workflows.
func (r *races) suppressEnrollment(t *testing.T) {
	var workflows []lead.WorkflowID
	for range 3 {
		nodes, edges := path(workflow.CallNode("call", nil))
		workflows = append(workflows, r.stage(succeed, nodes, edges...))
	}
	r.activateAll(t, workflows...)
	people := r.newPeople(t, *leadsFlag)
	var plays []*play
	for i, h := range people {
		plays = append(plays, h.play(i, lead.WorkflowID{}, lead.ID{}))
	}
	each(plays, func(p *play) {
		acts := []func(){func() { p.person.suppress("") }}
		for _, wf := range workflows {
			acts = append(acts, func() { p.person.enroll(wf) })
		}
		p.together(acts...)
		p.person.enroll(workflows[p.i%3])
	})
	r.check(t, workflows...)
	r.checkPeople(t, people)
}

// Suppress, of one and of many, against imports of the persons.
func (r *races) suppressImport(t *testing.T) {
	var workflows []lead.WorkflowID
	var people []*person
	for group := range max(1, *leadsFlag/groupSize) {
		nodes, edges := path(workflow.CallNode("call", nil))
		workflows = append(workflows, r.activateAll(t, r.stage(succeed, nodes, edges...))...)
		members := r.newPeople(t, groupSize)
		people = append(people, members...)
		p := members[0].play(group, lead.WorkflowID{}, lead.ID{})
		acts := []func(){func() { r.importAll(t, workflows[group], members) }}
		if group%2 == 0 {
			acts = append(acts, func() { r.suppressAll(t, members) })
		} else {
			for _, h := range members {
				acts = append(acts, func() { h.suppress("") })
			}
		}
		p.together(acts...)
		r.importAll(t, workflows[group], members)
	}
	// The import of a list names no leads, so they are waited for as those of a removal.
	r.settle(t, people)
	r.check(t, workflows...)
	r.checkPeople(t, people)
}

// Suppress against removals with and without SkipRetries, of leads that wait, that run,
// and that have a retry queued for tomorrow.
func (r *races) suppressRemoval(t *testing.T) {
	retry := workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(24 * time.Hour)}
	nodes, edges := path(workflow.CallNode("call", nil).WithRetry(retry))
	workflows := r.activateAll(t, r.stage(func(ctx context.Context, tr *track, a engine.Attempt) (engine.Result, error) {
		defer tr.atLine()
		if a.Node.Type != workflow.VoiceCall {
			return engine.Result{}, nil
		}
		switch a.LeadID.Seq() % 3 {
		case 0:
			return gated(ctx, tr, a)
		case 1:
			return engine.Result{}, world.ErrBusy
		}
		return engine.Result{}, nil
	}, nodes, edges...))
	people := r.racePeople(t, *leadsFlag, workflows, func(p *play) {
		p.line()
		acts := []func(){p.track.open, func() { p.person.suppress("") }, func() { p.remove() }}
		if p.i%2 == 0 {
			acts = append(acts, func() { p.remove(engine.SkipRetries()) })
		}
		p.together(acts...)
	})
	r.check(t, workflows...)
	r.checkPeople(t, people)
}

// Suppress against the update that gives the lead the external id of the suppression.
func (r *races) suppressRename(t *testing.T) {
	workflows := r.stageStart(t)
	r.racePeople(t, *leadsFlag, workflows, func(p *play) {
		id := "id of " + p.person.contact.PhoneNumber
		p.together(func() {
			if _, err := r.Eng.Suppress(context.Background(), engine.Suppress{ExternalID: id}); err != nil {
				t.Errorf("Suppress: %v", err)
			}
		}, func() {
			_, err := r.Eng.UpdateLead(context.Background(), p.wf, p.lead, engine.LeadUpdate{ExternalID: &id})
			if err != nil && !errors.Is(err, lead.ErrLeadFinal) {
				t.Errorf("UpdateLead: %v", err)
			}
		})
		if l := r.Lead(lead.Lead{ID: p.lead, WorkflowID: p.wf}); l.State == lead.Enrolled || l.State == lead.InStep {
			t.Errorf("lead %s is %s, and has the external id of a suppression", l.ID, l.State)
		}
	})
}
