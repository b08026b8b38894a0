package race

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func TestRemoveRaces(t *testing.T) {
	for name, hooked := range map[string]bool{"hooked": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			r := newRaces(t, hooked)
			for name, race := range map[string]func(r *races, t *testing.T){
				"start":            (*races).raceStart,
				"completion":       (*races).raceCompletion,
				"callback":         (*races).raceCallback,
				"retry":            (*races).raceRetry,
				"deadline":         (*races).raceDeadline,
				"removal":          (*races).raceRemoval,
				"resume":           (*races).raceResume,
				"pauses":           (*races).racePauses,
				"cancel":           (*races).raceCancel,
				"delete":           (*races).raceDelete,
				"all that happens": (*races).raceAll,
			} {
				t.Run(name, func(t *testing.T) { race(r, t) })
			}
		})
	}
}

func (r *races) activateAll(t *testing.T, workflows ...lead.WorkflowID) []lead.WorkflowID {
	t.Helper()
	for _, wf := range workflows {
		if _, err := r.Eng.ActivateWorkflow(context.Background(), wf); err != nil {
			t.Fatal(err)
		}
	}
	return workflows
}

// path is a workflow that begins with the node, goes on with a message, and
// then waits for two days.
func path(first workflow.Node) ([]workflow.Node, []workflow.Edge) {
	nodes := []workflow.Node{
		first, workflow.MessageNode("text", nil), workflow.Wait("rest", 48*time.Hour), workflow.End("done", workflow.Converted),
	}
	edges := []workflow.Edge{
		workflow.On(first.ID, workflow.DefaultLabel, "text"), workflow.On("text", workflow.DefaultLabel, "rest"),
		workflow.To("rest", "done"),
	}
	return nodes, edges
}

func succeed(context.Context, *track, engine.Attempt) (engine.Result, error) {
	return engine.Result{}, nil
}

// Remove against the start of a step whose wait ends at about that time.
func (r *races) raceStart(t *testing.T) {
	var workflows []lead.WorkflowID
	for ms := 1; ms <= 12; ms++ {
		nodes, edges := path(workflow.CallNode("call", nil))
		nodes = append([]workflow.Node{workflow.Wait("wait", time.Duration(ms)*time.Millisecond)}, nodes...)
		workflows = append(workflows, r.stage(succeed, nodes, append(edges, workflow.To("wait", "call"))...))
	}
	r.activateAll(t, workflows...)
	r.race(t, *leadsFlag, workflows, func(p *play) {
		p.together(func() { p.remove() })
	})
	r.check(t, workflows...)
}

// gated waits at the lead's gate, at calls.
func gated(ctx context.Context, tr *track, a engine.Attempt) (engine.Result, error) {
	if a.Node.Type == workflow.VoiceCall {
		tr.atLine()
		select {
		case <-tr.gate:
		case <-ctx.Done():
		}
	}
	return engine.Result{}, nil
}

// Remove against the return of the handler.
func (r *races) raceCompletion(t *testing.T) {
	nodes, edges := path(workflow.CallNode("call", nil))
	workflows := r.activateAll(t, r.stage(gated, nodes, edges...))
	r.race(t, *leadsFlag, workflows, func(p *play) {
		p.line()
		p.together(p.track.open, func() { p.remove() })
	})
	r.check(t, workflows...)
}

// Remove against callbacks, several of them, before and after the handler has
// returned.
func (r *races) raceCallback(t *testing.T) {
	nodes, edges := path(workflow.CallNode("call", nil))
	workflows := r.activateAll(t, r.stage(func(ctx context.Context, tr *track, a engine.Attempt) (engine.Result, error) {
		if a.Node.Type != workflow.VoiceCall {
			return engine.Result{}, nil
		}
		if a.LeadID.Seq()%2 == 0 {
			return gated(ctx, tr, a)
		}
		tr.atLine()
		return engine.InFlight("call"), nil
	}, nodes, edges...))
	r.race(t, *leadsFlag, workflows, func(p *play) {
		p.line()
		call := p.track.lastCall()
		foreign := lead.NewStepID(call.deadline, p.lead, 77)
		p.together(
			p.track.open,
			func() { p.remove() },
			func() { p.say(call.step, engine.Callback{Outcome: "completed"}) },
			func() { p.say(call.step, engine.Callback{Outcome: "completed", Attempt: 1}) },
			func() { p.say(call.step, engine.Callback{Outcome: "no_answer"}) },
			func() { p.say(call.step, engine.Callback{Outcome: "busy", Attempt: 2}) },
			func() { p.say(foreign, engine.Callback{Outcome: "completed"}) },
		)
		// Late ones.
		p.say(call.step, engine.Callback{Outcome: "no_answer"})
		p.say(call.step, engine.Callback{Outcome: "wrong_number"})
	})
	r.check(t, workflows...)
}

// Remove, with and without SkipRetries, against the retry that comes due.
func (r *races) raceRetry(t *testing.T) {
	nodes, edges := path(workflow.CallNode("call", nil).WithRetry(
		workflow.Retry{MaxAttempts: 4, Delay: workflow.Duration(time.Millisecond)}))
	workflows := r.activateAll(t, r.stage(func(ctx context.Context, tr *track, a engine.Attempt) (engine.Result, error) {
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
	r.race(t, *leadsFlag, workflows, func(p *play) {
		p.line()
		if p.i%2 == 0 {
			p.together(func() { p.remove() })
			return
		}
		p.together(func() { p.remove(engine.SkipRetries()) })
	})
	r.check(t, workflows...)
}

// Remove against the step's deadline, and against a callback at about that
// time.
func (r *races) raceDeadline(t *testing.T) {
	does := func(ctx context.Context, tr *track, a engine.Attempt) (engine.Result, error) {
		tr.atLine() // a call whose deadline has passed is not made, but the message after it is
		if a.Node.Type != workflow.VoiceCall {
			return engine.Result{}, nil
		}
		if a.LeadID.Seq()%2 == 0 {
			return engine.InFlight("call"), nil
		}
		<-ctx.Done()
		return engine.Result{}, nil
	}
	var workflows []lead.WorkflowID
	for ms := 1; ms <= 12; ms++ {
		nodes, edges := path(workflow.CallNode("call", nil).WithTimeout(time.Duration(ms) * time.Millisecond))
		workflows = append(workflows, r.stage(does, nodes, edges...))
	}
	r.activateAll(t, workflows...)
	r.race(t, *leadsFlag, workflows, func(p *play) {
		// On a busy machine the deadline can pass before the handler is called.
		called := p.lineUnless(func() bool {
			return strings.HasPrefix(p.Path(lead.Lead{ID: p.lead, WorkflowID: p.wf}), "call=failed")
		})
		acts := []func(){func() { p.remove() }}
		if called && p.i%3 == 0 {
			call := p.track.lastCall()
			acts = append(acts, func() { p.say(call.step, engine.Callback{Outcome: "completed"}) })
		}
		p.together(acts...)
	})
	r.check(t, workflows...)
}

// Remove against other Removes, with and without SkipRetries, of leads that
// wait, that run, and that have a retry queued for tomorrow.
func (r *races) raceRemoval(t *testing.T) {
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
	r.race(t, *leadsFlag, workflows, func(p *play) {
		p.line()
		plain, skip := func() { p.remove() }, func() { p.remove(engine.SkipRetries()) }
		p.together(plain, p.track.open, skip, plain, skip, plain, plain)
		p.remove()
	})
	r.check(t, workflows...)
}
