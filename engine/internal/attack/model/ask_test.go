package model

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/lead"
)

// request is something asked of the engine, and of the model.
type request struct {
	what  string
	ask   func() error // of the engine; it may run on another goroutine
	apply func() error // of the model; the refusal as the engine is to word it
	last  func() error // what of apply counts after all else that is decided with it; may be nil
	check func()       // looks at the rest of an answer that was no refusal
	err   error
	done  chan struct{}
}

// conflict is the refusal with a reason, or nil without one.
func conflict(reason error, wf lead.WorkflowID, id lead.ID, step lead.StepID, state string) error {
	if reason == nil {
		return nil
	}
	return &lead.ConflictError{Reason: reason, Workflow: wf, Lead: id, Step: step, State: state}
}

// missing is the refusal to know something.
func missing(kind, name, in string) error {
	return &lead.NotFoundError{Kind: kind, Name: name, In: in}
}

// expectRefusal: promise 11. The class of the error and what it carries must be those of
// the model.
func (w *trial) expectRefusal(what string, got, want error) {
	w.t.Helper()
	classes := func(err error) (out [3]bool) {
		for i, class := range []error{lead.ErrNotFound, lead.ErrConflict, lead.ErrInvalid} {
			out[i] = errors.Is(err, class)
		}
		return out
	}
	ok := (got == nil) == (want == nil) && classes(got) == classes(want)
	var conflict, wantConflict *lead.ConflictError
	var gone, wantGone *lead.NotFoundError
	switch {
	case errors.As(want, &wantConflict):
		ok = ok && errors.As(got, &conflict) && errors.Is(got, wantConflict.Reason)
		if ok && wantConflict.State == life.AnyText {
			conflict.State = life.AnyText
		}
		ok = ok && reflect.DeepEqual(conflict, wantConflict)
	case errors.As(want, &wantGone):
		ok = ok && errors.As(got, &gone) && reflect.DeepEqual(gone, wantGone)
	}
	if !ok {
		w.t.Fatalf("%s: answered %s, want %s", what, w.named(got), w.named(want))
	}
}

// given is an answer for the handler of a lead's attempt.
type given struct {
	lead   *life.Lead
	answer answer
}

// wave is what comes in at the same time: first what handlers come to, and
// then requests.
type wave struct {
	answers  []given
	requests []*request
}

func (v wave) empty() bool { return len(v.answers)+len(v.requests) == 0 }

// together sends a wave while the engine writes something else, so that the engine
// decides all of it in one batch. While that batch, whose fate is f, is written, it
// sends a second wave, unless that is empty.
func (w *trial) together(f fate, first, second wave) {
	w.t.Helper()
	w.batched = true
	defer func() { w.batched = false }()
	w.gate.hold()
	probes := w.probe(1)
	synctest.Wait()
	w.send(first)
	if !second.empty() {
		w.gate.pass()
		synctest.Wait()
		if !w.gate.waits() {
			f = fatePass // there was nothing to write in the first, so write something else
			probes = append(probes, w.probe(1)...)
			synctest.Wait()
		}
		w.send(second)
		// An engine that is writing looks up when enough has come in.
		probes = append(probes, w.probe(100)...)
		synctest.Wait()
	}
	w.gate.doom(f)
	w.gate.release()
	synctest.Wait()
	if w.gate.doom(fatePass) == f {
		f = fatePass
	}
	if f.deadly() {
		w.kill()
	}
	for _, p := range probes {
		if err := <-p; err != nil && !f.deadly() {
			w.t.Fatalf("Health: %s", w.named(err))
		}
	}
	for _, r := range slices.Concat(first.requests, second.requests) {
		select {
		case <-r.done:
		default:
			w.t.Fatalf("%s: there is no answer", r.what)
		}
	}
	w.follow(f, first, second)
}

// probe asks so often how the engine is.
func (w *trial) probe(n int) []chan error {
	out := make([]chan error, n)
	for i := range out {
		out[i] = make(chan error, 1)
		go func() { out[i] <- w.eng.Health(context.Background()) }()
	}
	return out
}

// send lets handlers return and makes requests, in this order.
func (w *trial) send(v wave) {
	for _, g := range v.answers {
		w.calls[g.lead].answer <- g.answer
		delete(w.calls, g.lead)
		synctest.Wait()
	}
	for _, r := range v.requests {
		r.done = make(chan struct{})
		go func() {
			defer close(r.done)
			r.err = r.ask()
		}()
		synctest.Wait()
	}
}

// follow applies two waves to the model, the first of which had the fate f.
func (w *trial) follow(f fate, first, second wave) {
	w.t.Helper()
	for i, v := range []wave{first, second} {
		for _, g := range v.answers {
			w.t.Logf("in wave %d: %s: the handler answers %s", i+1, g.lead, g.answer.name)
		}
		for _, r := range v.requests {
			w.t.Logf("in wave %d: %s: %s", i+1, r.what, w.named(r.err))
		}
	}
	w.t.Logf("the first wave %s", f)
	w.tally["batches"]++
	switch f {
	case fatePass, fateStale:
		w.apply(first, true)
		if !second.empty() {
			w.tally["batches decided while another is written"]++
			w.beginOnRecord()
			w.apply(second, true)
		}
		w.settle()
		return
	case fateLostAfter:
		w.apply(first, false) // nobody was told
	}
	for _, r := range slices.Concat(first.requests, second.requests) {
		// Promise 1: what is not on disk is not acknowledged.
		if r.err == nil && r.check != nil {
			w.t.Fatalf("%s was acknowledged, though the commit failed", r.what)
		}
	}
	if f.deadly() {
		w.dies(f)
		return
	}
	time.Sleep(100 * time.Millisecond) // the engine tries again after 50
	w.spec.Now = time.Now()
	w.settle()
}

// apply applies a wave that took effect to the model and, if callers were answered,
// compares the answers.
func (w *trial) apply(v wave, told bool) {
	w.t.Helper()
	for _, g := range v.answers {
		w.answeredBy(g.lead, g.answer.Answer)
	}
	wants := make([]error, len(v.requests))
	for i, r := range v.requests {
		wants[i] = r.apply()
	}
	for i, r := range v.requests {
		if r.last != nil && wants[i] == nil {
			wants[i] = r.last()
		}
		if told {
			w.answered(r, wants[i])
		}
	}
}

// beginOnRecord begins what the end of a batch begins. Handlers are called when
// it is on disk, which by now it is, so the calls have been seen already.
func (w *trial) beginOnRecord() {
	for _, l := range w.spec.Leads {
		if w.spec.MayBegin(l, w.spec.Now) {
			w.recorded[l] = true
			w.spec.Begin(l, w.spec.Now)
		}
	}
}

// alone makes a request of an engine at rest.
func (w *trial) alone(r *request) {
	w.t.Helper()
	r.err = r.ask()
	w.t.Logf("%s: %s", r.what, w.named(r.err))
	want := r.apply()
	if r.last != nil && want == nil {
		want = r.last()
	}
	w.answered(r, want)
	w.settle()
}

// answered holds the answer to a request against what is wanted.
func (w *trial) answered(r *request, want error) {
	w.t.Helper()
	w.expectRefusal(r.what, r.err, want)
	if r.check != nil && want == nil {
		r.check()
	}
}

func (w *trial) askEnroll(f *life.Flow, c lead.Contact) *request {
	var got lead.Lead
	var fresh *life.Lead
	return &request{
		what: "enroll " + c.PhoneNumber + " in " + f.Name,
		ask: func() (err error) {
			got, err = w.eng.Enroll(context.Background(), f.ID, c)
			return err
		},
		apply: func() error { return w.mayEnroll(f) },
		// Whom the same batch ends makes room for a new lead.
		last: func() error {
			if w.spec.Suppressed(f, c) {
				return conflict(lead.ErrSuppressed, f.ID, lead.ID{}, lead.StepID{}, life.AnyText)
			}
			w.fresh = got.ID
			var live *life.Lead
			if fresh, live = w.spec.Enroll(f, c); live != nil {
				return conflict(lead.ErrContactLive, f.ID, live.ID, lead.StepID{}, life.AnyText)
			}
			w.odd[fresh] = w.spec.Barred(f, c)
			return nil
		},
		check: func() {
			if fresh.ID = got.ID; got.ID.IsZero() || got.WorkflowID != f.ID || got.PhoneNumber != c.PhoneNumber {
				w.t.Fatalf("Enroll answered for %s, %s", got.PhoneNumber, got.State)
			}
		},
	}
}

// mayEnroll is the refusal of a workflow that takes nobody.
func (w *trial) mayEnroll(f *life.Flow) error {
	if f.Deleted {
		return missing("workflow", f.ID.String(), "")
	}
	return conflict(w.spec.MayEnroll(f), f.ID, lead.ID{}, lead.StepID{}, f.Status.String())
}

func (w *trial) askRemove(l *life.Lead, how lead.Removal) *request {
	var got *engine.Removal
	options := []engine.RemoveOption{engine.Reason(how.Reason), engine.Actor(how.Actor)}
	what := "remove " + l.String()
	if how.SkipRetries {
		options, what = append(options, engine.SkipRetries()), what+" and skip retries"
	}
	var state lead.State
	return &request{
		what: what,
		ask: func() (err error) {
			got, err = w.eng.Remove(context.Background(), l.Flow.ID, l.ID, options...)
			return err
		},
		apply: func() error {
			if l.Flow.Deleted {
				return missing("workflow", l.Flow.ID.String(), "")
			}
			before := l.State
			w.tally["removed while "+l.Doing.String()]++
			err := w.spec.Remove(l, how)
			state = l.State
			return conflict(err, l.Flow.ID, l.ID, lead.StepID{}, before.String())
		},
		check: func() {
			if got.State != state {
				w.t.Fatalf("%s: answered %s, want %s", what, got.State, state)
			}
			w.removals = append(w.removals, seenRemoval{l, got})
			w.promises.removed(w, l, state, how.SkipRetries)
		},
	}
}

// askUpdate makes a lead a vip, or none.
func (w *trial) askUpdate(l *life.Lead, vip bool) *request {
	var got lead.Lead
	value := map[bool]any{true: true, false: nil}[vip] // null deletes
	what := fmt.Sprintf("update %s to vip %v", l, value)
	return &request{
		what: what,
		ask: func() (err error) {
			got, err = w.eng.UpdateLead(context.Background(), l.Flow.ID, l.ID, engine.LeadUpdate{Metadata: map[string]any{"vip": value}})
			return err
		},
		apply: func() error {
			if l.Flow.Deleted {
				return missing("workflow", l.Flow.ID.String(), "")
			}
			w.updated[l] = true
			w.tally["updated while "+l.Doing.String()]++
			return conflict(w.spec.Update(l, "vip", value), l.Flow.ID, l.ID, lead.StepID{}, l.State.String())
		},
		check: func() {
			if got.ID != l.ID || got.PhoneNumber != l.Contact.PhoneNumber || got.Metadata["vip"] != value {
				w.t.Fatalf("%s: answered %s with %v", what, got.PhoneNumber, got.Metadata)
			}
		},
	}
}

func (w *trial) askCallback(l *life.Lead, st *life.Step, out life.Callback) *request {
	var got engine.CallbackAck
	var state lead.State
	r := &request{what: "callback " + out.Outcome + " for " + st.NodeID + " of " + l.String()}
	r.ask = func() (err error) {
		got, err = w.eng.CompleteStep(context.Background(), st.ID, engine.Callback{
			Outcome: out.Outcome, Attempt: out.Attempt, CallID: out.CallID, Data: dataOf(out.Data),
			Error: out.Err, RetryAfter: out.After, Final: out.Final,
		})
		return err
	}
	r.apply = func() error {
		if l.Flow.Deleted {
			return missing("step", st.ID.String(), "")
		}
		w.tally["callback while "+l.Doing.String()]++
		err := w.spec.Complete(l, st, out)
		state = l.State
		return conflict(err, l.Flow.ID, l.ID, st.ID, life.AnyText)
	}
	r.check = func() {
		// A step that is over is looked up past the batch.
		if got.StepID != st.ID || got.LeadID != l.ID || got.LeadState != state && !w.batched {
			w.t.Fatalf("%s: answered for a lead that is %s, want %s", r.what, got.LeadState, state)
		}
	}
	return r
}

// askStatus asks for a change of a workflow's status.
func (w *trial) askStatus(f *life.Flow, what string) *request {
	type change struct {
		ask   func(context.Context, lead.WorkflowID) (engine.Workflow, error)
		apply func(*life.Flow) error
	}
	c := map[string]change{
		"activate": {w.eng.ActivateWorkflow, w.spec.Activate},
		"pause":    {w.eng.PauseWorkflow, w.spec.Pause},
		"resume":   {w.eng.ResumeWorkflow, w.spec.Resume},
		"cancel":   {w.eng.CancelWorkflow, w.spec.Cancel},
		"complete": {w.eng.CompleteWorkflow, w.spec.Close},
		"delete": {func(ctx context.Context, id lead.WorkflowID) (engine.Workflow, error) {
			return engine.Workflow{}, w.eng.DeleteWorkflow(ctx, id)
		}, w.spec.Delete},
	}[what]
	return &request{
		what: what + " " + f.Name,
		ask: func() error {
			_, err := c.ask(context.Background(), f.ID)
			return err
		},
		apply: func() error {
			if f.Deleted {
				return missing("workflow", f.ID.String(), "")
			}
			return conflict(c.apply(f), f.ID, lead.ID{}, lead.StepID{}, life.AnyText)
		},
		check: func() {},
	}
}
