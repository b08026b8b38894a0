package race

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// each runs act for each of the plays, many at the same time.
func each(plays []*play, act func(p *play)) {
	next := atomic.Int64{}
	var lanes sync.WaitGroup
	for range side {
		lanes.Go(func() {
			for i := int(next.Add(1) - 1); i < len(plays); i = int(next.Add(1) - 1) {
				act(plays[i])
			}
		})
	}
	lanes.Wait()
}

// cast enrolls n leads in a workflow.
func (r *races) cast(t *testing.T, wf lead.WorkflowID, n int) []*play {
	t.Helper()
	var plays []*play
	for i, id := range r.EnrollMany(wf, 0, n) {
		plays = append(plays, r.play(t, i, wf, id))
	}
	return plays
}

// Removes of all leads of a paused workflow that is resumed meanwhile, so that
// leads start as fast as they are removed.
func (r *races) raceResume(t *testing.T) {
	nodes, edges := path(workflow.CallNode("call", nil))
	wf := r.stage(succeed, nodes, edges...)
	plays := r.cast(t, wf, *leadsFlag)
	var resuming sync.WaitGroup
	resuming.Go(func() { r.activateAll(t, wf) })
	each(plays, func(p *play) { p.together(func() { p.remove() }) })
	resuming.Wait()
	r.check(t, wf)
}

// Removes and completions in a workflow that is paused and resumed all the
// time. Nothing starts while it is paused.
func (r *races) racePauses(t *testing.T) {
	nodes, edges := path(workflow.CallNode("call", nil).WithRetry(
		workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Millisecond)}))
	wf := r.stage(func(ctx context.Context, tr *track, a engine.Attempt) (engine.Result, error) {
		res, err := gated(ctx, tr, a)
		if a.Number == 1 && a.LeadID.Seq()%2 == 0 && a.Node.Type == workflow.VoiceCall {
			return engine.Result{}, world.ErrBusy
		}
		return res, err
	}, nodes, edges...)
	r.braked.Store(wf, true)
	r.activateAll(t, wf)
	plays := r.cast(t, wf, *leadsFlag)

	type window struct{ from, to time.Time }
	var windows []window
	over := make(chan struct{})
	var flipping sync.WaitGroup
	flipping.Go(func() {
		for {
			paused, err := r.Eng.PauseWorkflow(context.Background(), wf)
			if err != nil {
				t.Errorf("Pause: %v", err)
				return
			}
			resumed, err := r.Eng.ResumeWorkflow(context.Background(), wf)
			if err != nil {
				t.Errorf("Resume: %v", err)
				return
			}
			windows = append(windows, window{paused.UpdatedAt, resumed.UpdatedAt})
			select {
			case <-over:
				return
			default:
			}
		}
	})
	each(plays, func(p *play) {
		p.line()
		p.together(p.track.open, func() { p.remove() })
	})
	close(over)
	flipping.Wait()
	r.check(t, wf)
	t.Logf("paused and resumed %d times", len(windows))
	for _, p := range plays {
		for _, s := range r.History(lead.Lead{ID: p.lead, WorkflowID: wf}) {
			for _, a := range s.Attempts {
				for _, w := range windows {
					if at := a.StartedAt; at.After(w.from) && at.Before(w.to) { // promise 17
						t.Errorf("attempt %d of step %s of lead %s began at %s, but the workflow was paused from %s to %s",
							a.Number, s.ID, p.lead, at, w.from, w.to)
					}
				}
			}
		}
	}
}

// groupSize is how many leads share a workflow that is cancelled or deleted.
const groupSize = 20

// Removes of leads that wait, run, await a callback and have a retry queued,
// while the whole workflow is cancelled, twice, and deleted in the end.
func (r *races) raceCancel(t *testing.T) {
	nodes, edges := path(workflow.CallNode("call", nil).WithRetry(
		workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Millisecond)}))
	does := func(ctx context.Context, tr *track, a engine.Attempt) (engine.Result, error) {
		defer tr.atLine()
		if a.Node.Type != workflow.VoiceCall {
			return engine.Result{}, nil
		}
		switch a.LeadID.Seq() % 4 {
		case 0:
			return gated(ctx, tr, a)
		case 1:
			return engine.InFlight("call"), nil
		case 2:
			if a.Number == 1 {
				return engine.Result{}, world.ErrBusy
			}
		}
		return engine.Result{}, nil
	}
	var workflows []lead.WorkflowID
	for range max(1, *leadsFlag/groupSize) {
		workflows = append(workflows, r.stage(does, nodes, edges...))
	}
	r.activateAll(t, workflows...)
	for _, wf := range workflows {
		r.braked.Store(wf, true)
		plays := r.cast(t, wf, groupSize)
		each(plays, (*play).line)
		answers := make(chan error, 2)
		var cancelled atomic.Int64
		acts := []func(){}
		for range 2 {
			acts = append(acts, func() {
				_, err := r.Eng.CancelWorkflow(context.Background(), wf)
				if err == nil {
					cancelled.Store(r.tick())
				}
				answers <- err
			})
		}
		for _, p := range plays {
			call := p.track.lastCall()
			acts = append(acts, p.track.open)
			if p.i%2 == 0 {
				acts = append(acts, func() { p.remove() })
			}
			if p.lead.Seq()%4 == 1 {
				acts = append(acts, func() { p.say(call.step, engine.Callback{Outcome: "completed"}) })
			}
		}
		plays[0].together(acts...)
		first, second := <-answers, <-answers
		if first != nil {
			first, second = second, first
		}
		if first != nil || !errors.Is(second, lead.ErrWorkflowStatus) {
			t.Errorf("two Cancels answered %v and %v", first, second)
		}
		r.checkCancelled(t, plays, cancelled.Load())
	}
	r.check(t, workflows...)
	for _, wf := range workflows {
		r.deleteAndCheck(t, wf)
	}
}

// checkCancelled: after Cancel has returned no new step starts, and leads that
// waited are removed.
func (r *races) checkCancelled(t *testing.T, plays []*play, returned int64) {
	t.Helper()
	for _, p := range plays {
		l := r.Lead(lead.Lead{ID: p.lead, WorkflowID: p.wf})
		if l.State == lead.Enrolled || l.State == lead.InStep {
			t.Errorf("lead %s is %s after Cancel", p.lead, l.State)
		}
		if l.State == lead.PendingRemoval || len(p.track.removes) == 0 || p.track.removes[0].err != nil {
			// Wait for the end of what nobody else waits for.
			p.remove()
		}
		steps := map[lead.StepID]bool{}
		p.track.mu.Lock()
		for _, call := range p.track.calls {
			if call.begun > returned {
				steps[call.step] = true
			}
		}
		p.track.mu.Unlock()
		if len(steps) > 1 {
			t.Errorf("lead %s: %d steps were begun after Cancel had returned", p.lead, len(steps))
		}
	}
}

// deleteAndCheck deletes a workflow of which nobody is in flight, and checks
// that its calls stay and its leads go (promise 7).
func (r *races) deleteAndCheck(t *testing.T, wf lead.WorkflowID) {
	t.Helper()
	ctx := context.Background()
	leads, err := r.Eng.Leads(ctx, wf, engine.LeadFilter{})
	if err != nil {
		t.Fatal(err)
	}
	before, _, err := r.Eng.Calls(ctx, engine.CallFilter{WorkflowID: wf})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Eng.DeleteWorkflow(ctx, wf); err != nil {
		t.Errorf("Delete: %v", err)
	}
	after, _, err := r.Eng.Calls(ctx, engine.CallFilter{WorkflowID: wf})
	if err != nil || len(after) != len(before) {
		t.Errorf("of %d calls %d are left, %v", len(before), len(after), err)
	}
	for _, l := range leads {
		r.expectGone(t, l)
	}
}

func (r *races) expectGone(t *testing.T, l lead.Lead) {
	t.Helper()
	if _, err := r.Eng.Lead(context.Background(), l.WorkflowID, l.ID); !errors.Is(err, lead.ErrNotFound) {
		t.Errorf("a lead of a deleted workflow is answered with %v", err)
	}
	if found, err := r.Store.Load(context.Background(), []int64{l.ID.Seq()}); err != nil || len(found) > 0 {
		t.Errorf("a lead of a deleted workflow is kept: %+v, %v", found, err)
	}
}

// Removes of the leads of a draft that is deleted, activated and enrolled in
// meanwhile. Either it is deleted, and nothing of it ever starts, or it is
// activated, and nothing of it is lost.
func (r *races) raceDelete(t *testing.T) {
	nodes, edges := path(workflow.CallNode("call", nil))
	var kept []lead.WorkflowID
	groups := max(1, *leadsFlag/groupSize)
	for range groups {
		wf := r.stage(succeed, nodes, edges...)
		plays := r.cast(t, wf, groupSize)
		var deleted, activated, enrolled error
		var late lead.Lead
		acts := []func(){
			func() { deleted = r.Eng.DeleteWorkflow(context.Background(), wf) },
			func() { _, activated = r.Eng.ActivateWorkflow(context.Background(), wf) },
			func() { late, enrolled = r.Eng.Enroll(context.Background(), wf, world.Person(groupSize)) },
		}
		for _, p := range plays {
			if p.i%2 == 0 {
				acts = append(acts, func() { p.remove() })
			}
		}
		plays[0].together(acts...)
		switch {
		case deleted == nil:
			if !errors.Is(activated, lead.ErrNotFound) {
				t.Errorf("Activate of a deleted workflow answered %v", activated)
			}
			if enrolled != nil && !errors.Is(enrolled, lead.ErrNotFound) {
				t.Errorf("Enroll: %v", enrolled)
			}
			for _, p := range plays {
				r.expectGone(t, lead.Lead{ID: p.lead, WorkflowID: wf})
				p.checkNeverStarted()
			}
		case errors.Is(deleted, lead.ErrWorkflowStatus) && activated == nil && enrolled == nil:
			for _, p := range append(plays, r.play(t, groupSize, wf, late.ID)) {
				if p.i%2 == 1 || p.i == groupSize {
					p.remove()
				}
			}
			kept = append(kept, wf)
		default:
			t.Errorf("Delete answered %v, Activate %v, Enroll %v", deleted, activated, enrolled)
		}
	}
	t.Logf("%d of %d drafts were activated, the others deleted", len(kept), groups)
	if len(kept) > 0 {
		r.check(t, kept...)
	}
}

func (p *play) checkNeverStarted() {
	p.track.mu.Lock()
	defer p.track.mu.Unlock()
	if n := len(p.track.calls); n > 0 {
		p.t.Errorf("%d handlers were called for a lead of a deleted draft", n)
	}
	for _, ask := range p.track.removes {
		switch {
		case ask.err != nil && !errors.Is(ask.err, lead.ErrNotFound):
			p.t.Errorf("Remove of a lead of a deleted draft answered %v", ask.err)
		case ask.err == nil && ask.state != lead.Removed:
			p.t.Errorf("Remove of a waiting lead answered %s", ask.state)
		}
	}
}

// Everything together, in a cycle that only removal ends: retries, deadlines, callbacks
// of any kind, scheduled messages, and several Removes.
func (r *races) raceAll(t *testing.T) {
	wf := r.stage(func(ctx context.Context, tr *track, a engine.Attempt) (engine.Result, error) {
		if rand.N(4) == 0 {
			tr.atLine()
		}
		var schedule []engine.Message
		for range rand.N(2) {
			schedule = append(schedule, engine.Message{After: rand.N(5 * time.Millisecond)})
		}
		switch rand.N(6) {
		case 0:
			return engine.Result{}, engine.RetryAfter(world.ErrBusy, rand.N(4*time.Millisecond))
		case 1:
			return engine.Result{InFlight: true, Schedule: schedule}, nil
		case 2:
			<-ctx.Done()
			return engine.Result{}, nil
		case 3:
			return engine.Result{}, engine.NonRetryable(world.ErrBusy)
		}
		return engine.Result{Outcome: []string{"", "no_answer"}[rand.N(2)], Schedule: schedule}, nil
	}, []workflow.Node{
		workflow.CallNode("call", nil).WithTimeout(10 * time.Millisecond).WithRetry(
			workflow.Retry{MaxAttempts: 3, Delay: workflow.Duration(time.Millisecond)}),
		workflow.MessageNode("text", nil).WithTimeout(5 * time.Millisecond),
		workflow.Wait("wait", 2*time.Millisecond),
	}, workflow.On("call", workflow.DefaultLabel, "text"), workflow.On("text", "failure", "wait"),
		workflow.On("text", workflow.DefaultLabel, "call"), workflow.To("wait", "call"))
	r.activateAll(t, wf)
	r.race(t, *leadsFlag, []lead.WorkflowID{wf}, func(p *play) {
		p.line()
		acts := []func(){func() { p.remove() }}
		if p.i%2 == 0 {
			acts = append(acts, func() { p.remove(engine.SkipRetries()) }, func() { p.remove() })
		}
		for range p.rng.IntN(4) {
			call := p.track.lastCall()
			outcome := []string{"completed", "success", "no_answer"}[p.rng.IntN(3)]
			acts = append(acts, func() { p.say(call.step, engine.Callback{Outcome: outcome, Attempt: p.i % 2 * call.attempt}) })
		}
		p.together(acts...)
	})
	r.check(t, wf)
}
