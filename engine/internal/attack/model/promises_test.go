package model

import (
	"context"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// promises checks the promises directly, by what was seen of the engine, so that a fault
// that both the engine and the specification have is noticed. life.Witness and life.Sight
// check single leads; this checks the rest:
//
//  1. acknowledged is durable: a request whose commit failed is not acknowledged
//     (follow), and what was is there after a crash (check);
//  3. no cut: check;
//  4. removal ends: check, and the end of every trial;
//  5. nothing left behind: check;
//  6. only that lead: others, unchanged;
//  10. never stuck: check;
//  11. typed refusals: expectRefusal;
//  12. one owner: secondOwner.
type promises struct {
	provider life.Provider
	leads    map[*life.Lead]*witnessed
	dead     bool // a process has ended
}

// witnessed is what was seen of a lead.
type witnessed struct {
	life.Witness
	last life.Sight // as last read
}

func (p *promises) of(l *life.Lead) *witnessed {
	if p.leads == nil {
		p.leads = map[*life.Lead]*witnessed{}
	}
	if p.leads[l] == nil {
		p.leads[l] = &witnessed{}
		if p.dead { // after the lead may have been made
			p.leads[l].Died()
		}
	}
	return p.leads[l]
}

// broken fails the test when there are faults.
func (w *trial) broken(l *life.Lead, faults []life.Fault) {
	w.t.Helper()
	for _, f := range faults {
		w.t.Errorf("%s: %s", l, f)
	}
	if len(faults) > 0 {
		w.t.FailNow()
	}
}

// removed notes that the removal of a lead was acknowledged.
func (p *promises) removed(w *trial, l *life.Lead, state lead.State, skipRetries bool) {
	w.t.Helper()
	w.broken(l, p.of(l).Removed(state, skipRetries, life.InFlight(w.read(l).Steps)))
}

// held notes that a hold of a lead was acknowledged.
func (p *promises) held(w *trial, l *life.Lead) {
	w.t.Helper()
	p.of(l).Held(l.Hold.Until, life.InFlight(w.read(l).Steps))
}

// begun notes that a handler was called.
func (p *promises) begun(w *trial, l *life.Lead, c *heldCall) {
	w.t.Helper()
	channel := c.ask.Node.Type
	if c.ask.Scheduled != nil {
		channel = workflow.Message
	}
	w.broken(l, p.provider.Called(life.Delivery{
		At: c.at, Flow: l.Flow, Node: l.Flow.Node(c.ask.Node.ID), Channel: channel, PhoneNumber: c.ask.Contact.PhoneNumber, ExternalID: c.ask.Contact.ExternalID,
	}))
	w.broken(l, p.of(l).Called(life.Call{
		Attempt: life.Attempt{Step: c.ask.StepID, Number: c.ask.Number}, Key: c.ask.IdempotencyKey, At: c.at, Redelivered: c.ask.Redelivered,
	}))
}

// returned notes what a handler said.
func (p *promises) returned(l *life.Lead, a life.Answer) {
	if a.NotMade && l.Doing == life.Running {
		p.of(l).NotMade(life.Attempt{Step: l.At.ID, Number: l.Begun().Number})
	}
}

// died notes that the process has ended.
func (p *promises) died() {
	p.dead = true
	for _, l := range p.leads {
		l.Died()
	}
}

// inFlight: promise 15, by what can be read of all leads.
func (p *promises) inFlight(w *trial) {
	w.t.Helper()
	for _, f := range w.spec.Flows {
		var steps []lead.Step
		for _, l := range w.spec.Leads {
			if l.Flow == f && !f.Deleted && l.State.InFlight() {
				steps = append(steps, w.read(l).Steps...)
			}
		}
		for _, fault := range life.Flying(f, steps) {
			w.t.Fatalf("%s: %s", f.Name, fault)
		}
	}
}

// check: promises 3, 4, 5, 10 and 15, at rest.
func (p *promises) check(w *trial) {
	w.t.Helper()
	p.inFlight(w)
	now := w.spec.Now
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
	for _, f := range w.spec.Flows {
		if f.Deleted {
			continue
		}
		for _, l := range w.listed(f) {
			name := w.leadOf(l.ID)
			if l.State.Final() {
				if !l.NextActionAt.IsZero() || sleeping[l.ID.Seq()] {
					w.t.Fatalf("promise 5: %s is %s and due at %s", name, l.State, w.text.After(l.NextActionAt))
				}
				continue
			}
			late := l.NextActionAt.Before(now)
			free := running < w.workers && w.hooks[name] == nil
			held := l.Hold != nil && (name.Doing == life.Resting || name.Doing == life.Retrying)
			waits := held || w.spec.Rests(name) || (f.Status != lead.WorkflowActive || w.spec.Draining) && (name.Doing == life.Resting || name.Doing == life.Retrying)
			if l.NextActionAt.IsZero() && !held || !sleeping[l.ID.Seq()] || late && free && !waits {
				w.t.Fatalf("promise 10: %s is %s, and next acted on at %s; now is %s", name, l.State, w.text.After(l.NextActionAt), w.text.After(now))
			}
			if l.State == lead.PendingRemoval && late && free && !w.spec.Rests(name) {
				w.t.Fatalf("promise 4: the removal of %s is pending, and nothing goes on", name)
			}
		}
	}
}

// seen holds what was read of a lead against the promises.
func (p *promises) seen(w *trial, l *life.Lead, is life.Sight) {
	w.t.Helper()
	of := p.of(l)
	w.broken(l, is.Check())
	w.broken(l, is.Since(of.last))
	w.broken(l, of.Check(is))
	of.last = is
}

// others reads all leads but one; see unchanged.
func (p *promises) others(w *trial, but *life.Lead) map[*life.Lead]string {
	out := map[*life.Lead]string{}
	for _, l := range w.spec.Leads {
		if l != but && !l.Flow.Deleted {
			out[l] = w.readText(l)
		}
	}
	return out
}

// unchanged: promise 6. The removal of one lead has changed no other.
func (p *promises) unchanged(w *trial, others map[*life.Lead]string) {
	w.t.Helper()
	for l, before := range others {
		if now := w.readText(l); now != before {
			w.t.Fatalf("promise 6: the removal of another lead changed %s from\n%s\nto\n%s", l, before, now)
		}
	}
}

// read reads a lead and its history.
func (w *trial) read(l *life.Lead) life.Sight {
	w.t.Helper()
	ctx := context.Background()
	one, err := w.eng.Lead(ctx, l.Flow.ID, l.ID)
	if err != nil {
		w.t.Fatalf("reading %s: %s", l, w.named(err))
	}
	steps, err := w.eng.History(ctx, l.Flow.ID, l.ID)
	if err != nil {
		w.t.Fatalf("reading the history of %s: %s", l, w.named(err))
	}
	return life.Sight{Lead: one, Steps: steps}
}

func (w *trial) readText(l *life.Lead) string {
	w.t.Helper()
	is := w.read(l)
	return w.text.Lead(is.Lead) + "\n" + w.text.History(is.Steps)
}

// possible checks for every lead, from its record only, that a life can have led to it.
func (p *promises) possible(w *trial) {
	w.t.Helper()
	for _, l := range w.spec.Leads {
		if l.Flow.Deleted || w.odd[l] {
			continue
		}
		is := w.read(l)
		r := life.Record{Lead: is.Lead, Steps: is.Steps, Braked: true, Updated: w.updated[l]}
		if _, err := life.Replay(l.Flow, r); err != nil {
			w.t.Fatalf("%s: %v", l, err)
		}
	}
}

// end: promise 4. Nobody answers any more, and every removal ends in time although the
// process dies once more.
func (p *promises) end(w *trial) {
	w.t.Helper()
	if p.pending(w) == 0 {
		return
	}
	w.holds = 10
	w.crash(time.Second)
	for until := w.spec.Now.Add(w.quiet()); p.pending(w) > 0; {
		next := w.spec.Next()
		if next.IsZero() || next.After(until) {
			w.t.Fatalf("promise 4: %d removals are pending for ever", p.pending(w))
		}
		w.sleepTo(next)
		w.settle()
	}
	w.check()
}

// pending is how many removals are pending.
func (p *promises) pending(w *trial) int64 {
	w.t.Helper()
	n := int64(0)
	for _, f := range w.spec.Flows {
		if f.Deleted {
			continue
		}
		pending, err := w.eng.CountLeads(context.Background(), f.ID, engine.LeadFilter{States: []lead.State{lead.PendingRemoval}})
		if err != nil {
			w.t.Fatalf("CountLeads: %v", err)
		}
		n += pending
	}
	return n
}

// quiet is how long it takes at most until every removal has ended although
// nobody answers: promise 4. Where workers are few, each attempt may have to
// wait for one of every other lead.
func (w *trial) quiet() time.Duration {
	all := time.Duration(0)
	for _, l := range w.spec.Leads {
		n := l.At.Node
		once := n.Timeout + max(n.Delay(n.Attempts()+1), 2*time.Hour)
		all += time.Duration(n.Attempts())*once + time.Duration(len(w.spec.Hooks))*w.spec.HookTimeout
	}
	return 3 * all // so many attempts there are at a step, at most
}
