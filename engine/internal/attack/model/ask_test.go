package engine_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// modelRequest is something asked of the engine, and of the model.
type modelRequest struct {
	what  string
	ask   func() error // of the engine; it may run on another goroutine
	apply func() error // of the model; the refusal as the engine is to word it
	last  func() error // what of apply counts after all else that is decided with it; may be nil
	check func()       // looks at the rest of an answer that was no refusal
	err   error
	done  chan struct{}
}

// modelConflict is the refusal with a reason, or nil without one.
func modelConflict(reason error, wf lead.WorkflowID, id lead.ID, step lead.StepID, state string) error {
	if reason == nil {
		return nil
	}
	return &lead.ConflictError{Reason: reason, Workflow: wf, Lead: id, Step: step, State: state}
}

// modelMissing is the refusal to know something.
func modelMissing(kind, name, in string) error {
	return &lead.NotFoundError{Kind: kind, Name: name, In: in}
}

// expectRefusal: promise 11. Both the class and what the error carries are as
// the model says.
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
		if ok && wantConflict.State == anyText {
			conflict.State = anyText
		}
		ok = ok && reflect.DeepEqual(conflict, wantConflict)
	case errors.As(want, &wantGone):
		ok = ok && errors.As(got, &gone) && reflect.DeepEqual(gone, wantGone)
	}
	if !ok {
		w.t.Fatalf("%s: answered %s, want %s", what, w.text(got), w.text(want))
	}
}

// modelGiven is an answer for the handler of a lead's attempt.
type modelGiven struct {
	lead   *specLead
	answer modelAnswer
}

// modelWave is what comes in at the same time: first what handlers come to, and
// then requests.
type modelWave struct {
	answers  []modelGiven
	requests []*modelRequest
}

func (v modelWave) empty() bool { return len(v.answers)+len(v.requests) == 0 }

// together sends a wave while the engine writes something else, so that it
// decides all of it in one batch, and a second one, if that is not empty, while
// it writes that batch, whose fate is f.
func (w *trial) together(f fate, first, second modelWave) {
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
			w.t.Fatalf("Health: %s", w.text(err))
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
func (w *trial) send(v modelWave) {
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

// follow has the model follow two waves, the first of which had the fate f.
func (w *trial) follow(f fate, first, second modelWave) {
	w.t.Helper()
	for i, v := range []modelWave{first, second} {
		for _, g := range v.answers {
			w.t.Logf("in wave %d: %s: the handler answers %s", i+1, g.lead, g.answer.name)
		}
		for _, r := range v.requests {
			w.t.Logf("in wave %d: %s: %s", i+1, r.what, w.text(r.err))
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
	w.spec.now = time.Now()
	w.settle()
}

// apply has the model follow a wave that took effect, and holds the answers
// against what they were to be if somebody was told.
func (w *trial) apply(v modelWave, told bool) {
	w.t.Helper()
	for _, g := range v.answers {
		w.spec.answered(g.lead, g.answer)
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
	for _, l := range w.spec.leads {
		if w.spec.mayBegin(l) {
			l.recorded = true
			w.spec.begin(l)
		}
	}
}

// alone makes a request of an engine at rest.
func (w *trial) alone(r *modelRequest) {
	w.t.Helper()
	r.err = r.ask()
	w.t.Logf("%s: %s", r.what, w.text(r.err))
	want := r.apply()
	if r.last != nil && want == nil {
		want = r.last()
	}
	w.answered(r, want)
	w.settle()
}

// answered holds the answer to a request against what is wanted.
func (w *trial) answered(r *modelRequest, want error) {
	w.t.Helper()
	w.expectRefusal(r.what, r.err, want)
	if r.check != nil && want == nil {
		r.check()
	}
}

func (w *trial) askEnroll(f *specFlow, c lead.Contact) *modelRequest {
	var got lead.Lead
	var fresh *specLead
	return &modelRequest{
		what: "enroll " + c.PhoneNumber + " in " + f.name,
		ask: func() (err error) {
			got, err = w.eng.Enroll(context.Background(), f.id, c)
			return err
		},
		apply: func() error { return w.spec.mayEnroll(f) },
		// Whom the same batch ends makes room for a new lead.
		last: func() error {
			var live *specLead
			if fresh, live = w.spec.enroll(f, c); live != nil {
				return modelConflict(lead.ErrContactLive, f.id, live.id, lead.StepID{}, anyText)
			}
			return nil
		},
		check: func() {
			if fresh.id = got.ID; got.ID.IsZero() || got.WorkflowID != f.id || got.PhoneNumber != c.PhoneNumber {
				w.t.Fatalf("Enroll answered for %s, %s", got.PhoneNumber, got.State)
			}
		},
	}
}

// mayEnroll is the refusal of a workflow that takes nobody.
func (s *spec) mayEnroll(f *specFlow) error {
	switch {
	case f.deleted:
		return modelMissing("workflow", f.id.String(), "")
	case f.status.Final():
		return modelConflict(lead.ErrWorkflowStatus, f.id, lead.ID{}, lead.StepID{}, f.status.String())
	}
	return nil
}

func (w *trial) askRemove(l *specLead, how lead.Removal) *modelRequest {
	var got *engine.Removal
	options := []engine.RemoveOption{engine.Reason(how.Reason), engine.Actor(how.Actor)}
	what := "remove " + l.String()
	if how.SkipRetries {
		options, what = append(options, engine.SkipRetries()), what+" and skip retries"
	}
	var state lead.State
	return &modelRequest{
		what: what,
		ask: func() (err error) {
			got, err = w.eng.Remove(context.Background(), l.flow.id, l.id, options...)
			return err
		},
		apply: func() error {
			if l.flow.deleted {
				return modelMissing("workflow", l.flow.id.String(), "")
			}
			before := l.state
			w.tally["removed while "+l.doing.String()]++
			err := w.spec.remove(l, how)
			state = l.state
			return modelConflict(err, l.flow.id, l.id, lead.StepID{}, before.String())
		},
		check: func() {
			if got.State != state {
				w.t.Fatalf("%s: answered %s, want %s", what, got.State, state)
			}
			w.removals = append(w.removals, seenRemoval{l, got})
			w.promises.removed(w, l)
		},
	}
}

func (w *trial) askCallback(l *specLead, st *specStep, out engine.Callback) *modelRequest {
	var got engine.CallbackAck
	var state lead.State
	r := &modelRequest{what: "callback " + out.Outcome + " for " + st.NodeID + " of " + l.String()}
	r.ask = func() (err error) {
		got, err = w.eng.CompleteStep(context.Background(), st.ID, out)
		return err
	}
	r.apply = func() error {
		if l.flow.deleted {
			return modelMissing("step", st.ID.String(), "")
		}
		w.tally["callback while "+l.doing.String()]++
		err := w.spec.callback(l, st, out)
		state = l.state
		return modelConflict(err, l.flow.id, l.id, st.ID, anyText)
	}
	r.check = func() {
		// A step that is over is looked up past the batch.
		if got.StepID != st.ID || got.LeadID != l.id || got.LeadState != state && !w.batched {
			w.t.Fatalf("%s: answered for a lead that is %s, want %s", r.what, got.LeadState, state)
		}
	}
	return r
}

// askStatus asks for a change of a workflow's status.
func (w *trial) askStatus(f *specFlow, what string) *modelRequest {
	type change struct {
		ask   func(context.Context, lead.WorkflowID) (engine.Workflow, error)
		apply func(*specFlow) error
	}
	c := map[string]change{
		"activate": {w.eng.ActivateWorkflow, w.spec.activate},
		"pause":    {w.eng.PauseWorkflow, w.spec.pause},
		"resume":   {w.eng.ResumeWorkflow, w.spec.resume},
		"cancel":   {w.eng.CancelWorkflow, w.spec.cancel},
		"complete": {w.eng.CompleteWorkflow, w.spec.closeFlow},
		"delete": {func(ctx context.Context, id lead.WorkflowID) (engine.Workflow, error) {
			return engine.Workflow{}, w.eng.DeleteWorkflow(ctx, id)
		}, w.spec.deleteFlow},
	}[what]
	return &modelRequest{
		what: what + " " + f.name,
		ask: func() error {
			_, err := c.ask(context.Background(), f.id)
			return err
		},
		apply: func() error {
			if f.deleted {
				return modelMissing("workflow", f.id.String(), "")
			}
			return modelConflict(c.apply(f), f.id, lead.ID{}, lead.StepID{}, anyText)
		},
		check: func() {},
	}
}
