package engine_test

import (
	"context"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// modelPromises checks the promises as such, by what was seen of the engine, so that
// a model which is wrong in the same way as the engine hides nothing:
//
//  1. acknowledged is durable: a request whose commit failed is not acknowledged
//     (follow), and what was is there after a crash (check);
//  2. silence: begun, removed;
//  3. no cut: check;
//  4. removal ends: check, and the end of every trial;
//  5. nothing left behind: check;
//  6. only that lead: others, unchanged;
//  7. history stays: history;
//  8. one outcome: history;
//  9. at least once, with a key: begun;
//  10. never stuck: check;
//  11. typed refusals: expectRefusal;
//  12. one owner: secondOwner.
type modelPromises struct {
	silent  map[*specLead]lead.StepID // the step in flight when removal was acknowledged; zero for none
	keys    map[string]bool
	seen    map[lead.StepID]lead.Step // as last read
	visited map[*specLead]int         // how many steps were read last
}

// removed notes that the removal of a lead was acknowledged.
func (p *modelPromises) removed(w *trial, l *specLead) {
	if p.silent == nil {
		p.silent = map[*specLead]lead.StepID{}
	}
	if _, twice := p.silent[l]; twice {
		return
	}
	steps, err := w.eng.History(context.Background(), l.flow.id, l.id)
	if err != nil {
		w.t.Fatalf("reading %s: %s", l, w.text(err))
	}
	p.silent[l] = lead.StepID{}
	for _, s := range steps {
		if s.Status == lead.StepInProgress || s.Status == lead.StepRetrying {
			p.silent[l] = s.ID
		}
	}
}

// begun: promises 2 and 9, when a handler was called.
func (p *modelPromises) begun(w *trial, l *specLead, c *heldCall) {
	if p.keys == nil {
		p.keys = map[string]bool{}
	}
	if step, asked := p.silent[l]; asked && step != c.ask.StepID {
		w.t.Fatalf("promise 2: a step of %s began at %s after its removal was acknowledged", l, c.ask.Node.ID)
	}
	key := c.ask.IdempotencyKey
	if p.keys[key] && !c.ask.Redelivered {
		w.t.Fatalf("promise 9: attempt %d at %s of %s was made twice, unmarked", c.ask.Number, c.ask.Node.ID, l)
	}
	p.keys[key] = true
}

// check: promises 3, 4, 5 and 10, at rest.
func (p *modelPromises) check(w *trial) {
	w.t.Helper()
	now := w.spec.now
	for l, c := range w.calls {
		if c.ctx.Err() != nil && now.Before(c.ask.Deadline) {
			w.t.Fatalf("promise 3: the handler of %s was cut before its deadline: %v", l, context.Cause(c.ctx))
		}
	}
	running := w.eng.Stats().Running
	if running != len(w.calls) {
		w.t.Fatalf("promise 5: %d workers are taken, but %d handlers run", running, len(w.calls))
	}
	sleeping := map[int64]bool{}
	records, err := w.gate.Due(context.Background(), store.Key{}, store.MaxMillis, 1000)
	if err != nil {
		w.t.Fatalf("Due: %v", err)
	}
	for _, r := range records {
		sleeping[r.Seq] = true
	}
	for _, f := range w.spec.flows {
		if f.deleted {
			continue
		}
		for _, l := range w.listed(f) {
			name := w.leadOf(l.ID)
			if l.State.Final() {
				if !l.NextActionAt.IsZero() || sleeping[l.ID.Seq()] {
					w.t.Fatalf("promise 5: %s is %s and due at %s", name, l.State, w.after(l.NextActionAt))
				}
				continue
			}
			late := l.NextActionAt.Before(now)
			free := f.active() && running < w.workers && w.hooks[name] == nil && !w.spec.draining
			if l.NextActionAt.IsZero() || !sleeping[l.ID.Seq()] || late && (free || l.State == lead.InStep && running < w.workers && w.hooks[name] == nil) {
				w.t.Fatalf("promise 10: %s is %s, and next acted on at %s; now is %s", name, l.State, w.after(l.NextActionAt), w.after(now))
			}
			if l.State == lead.PendingRemoval && late && w.hooks[name] == nil && running < w.workers {
				w.t.Fatalf("promise 4: the removal of %s is pending, and nothing goes on", name)
			}
		}
	}
}

// history: promises 5, 7 and 8, when the history of a lead was read.
func (p *modelPromises) history(w *trial, l *specLead, steps []lead.Step) {
	w.t.Helper()
	if p.seen == nil {
		p.seen, p.visited = map[lead.StepID]lead.Step{}, map[*specLead]int{}
	}
	if len(steps) < p.visited[l] {
		w.t.Fatalf("promise 7: the history of %s has lost steps", l)
	}
	p.visited[l] = len(steps)
	twice := map[lead.StepID]bool{}
	for _, s := range steps {
		before, known := p.seen[s.ID]
		if twice[s.ID] {
			w.t.Fatalf("promise 8: a step of %s at %s is there twice", l, s.NodeID)
		}
		twice[s.ID] = true
		if known && before.Outcome != "" && before.Outcome != s.Outcome {
			w.t.Fatalf("promise 8: a step of %s at %s had the outcome %s, and now has %s", l, s.NodeID, before.Outcome, s.Outcome)
		}
		if known && !before.ExitedAt.IsZero() && w.stepText(before) != w.stepText(s) {
			w.t.Fatalf("promise 7: a step that was over has changed from\n%s\nto\n%s", w.stepText(before), w.stepText(s))
		}
		if known && len(s.Attempts) < len(before.Attempts)-1 {
			w.t.Fatalf("promise 7: a step of %s at %s has lost attempts", l, s.NodeID)
		}
		if l.state.Final() && (!s.Status.Final() || s.ExitedAt.IsZero()) {
			w.t.Fatalf("promise 5: %s is %s, but its step at %s is %s", l, l.state, s.NodeID, s.Status)
		}
		p.seen[s.ID] = s
	}
}

// others reads all leads but one; see unchanged.
func (p *modelPromises) others(w *trial, but *specLead) map[*specLead]string {
	out := map[*specLead]string{}
	for _, l := range w.spec.leads {
		if l != but && !l.flow.deleted {
			out[l] = p.read(w, l)
		}
	}
	return out
}

// unchanged: promise 6. The removal of one lead has changed no other.
func (p *modelPromises) unchanged(w *trial, others map[*specLead]string) {
	w.t.Helper()
	for l, before := range others {
		if now := p.read(w, l); now != before {
			w.t.Fatalf("promise 6: the removal of another lead changed %s from\n%s\nto\n%s", l, before, now)
		}
	}
}

func (p *modelPromises) read(w *trial, l *specLead) string {
	w.t.Helper()
	ctx := context.Background()
	one, err := w.eng.Lead(ctx, l.flow.id, l.id)
	if err != nil {
		w.t.Fatalf("reading %s: %s", l, w.text(err))
	}
	steps, err := w.eng.History(ctx, l.flow.id, l.id)
	if err != nil {
		w.t.Fatalf("reading %s: %s", l, w.text(err))
	}
	return w.leadText(one) + "\n" + w.historyText(steps)
}

// end: promise 4. Nobody answers any more, and every removal comes to its end
// in time although the process dies once more.
func (p *modelPromises) end(w *trial) {
	w.t.Helper()
	if p.pending(w) == 0 {
		return
	}
	w.holds = 10
	w.crash(time.Second)
	for until := w.spec.now.Add(w.spec.quiet()); p.pending(w) > 0; {
		next := w.spec.nextEvent()
		if next.IsZero() || next.After(until) {
			w.t.Fatalf("promise 4: %d removals are pending for ever", p.pending(w))
		}
		w.sleepTo(next)
		w.settle()
	}
	w.check()
}

// pending is how many removals are pending.
func (p *modelPromises) pending(w *trial) int64 {
	w.t.Helper()
	n := int64(0)
	for _, f := range w.spec.flows {
		if f.deleted {
			continue
		}
		pending, err := w.eng.CountLeads(context.Background(), f.id, engine.LeadFilter{States: []lead.State{lead.PendingRemoval}})
		if err != nil {
			w.t.Fatalf("CountLeads: %v", err)
		}
		n += pending
	}
	return n
}
