package engine_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/memory"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

func (r *rules) rename(l lead.Lead, id string) {
	r.t.Helper()
	if _, err := r.UpdateLead(background, l.WorkflowID, l.ID, engine.LeadUpdate{ExternalID: &id}); err != nil {
		r.t.Fatal(err)
	}
}

func TestALeadWithANewExternalIDIsRidOfTheSuppressionsOfTheFormer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		said    engine.Suppress
		to      string
		called  []string
		expects string
	}{
		{"another id", engine.Suppress{ExternalID: "crm-1"}, "crm-2", []string{"text"}, "completed: call=completed wait=completed text=success won=converted"},
		{"none", engine.Suppress{ExternalID: "crm-1"}, "", []string{"text"}, "completed: call=completed wait=completed text=success won=converted"},
		{"by the number too", engine.Suppress{ExternalID: "crm-1", PhoneNumber: phone}, "crm-2", nil, "completed: call=completed wait=completed text=suppressed won=converted"},
		{"the new one, too", engine.Suppress{ExternalID: "crm-1"}, "crm-3", nil, "completed: call=completed wait=completed text=suppressed won=converted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRules(t)
			wf := r.activate(callThenText)
			l, err := r.Enroll(background, wf, lead.Contact{PhoneNumber: phone, ExternalID: "crm-1"})
			if err != nil {
				t.Fatal(err)
			}
			r.settle(0)
			r.calledAre("call")
			for _, s := range []engine.Suppress{tt.said, {ExternalID: "crm-3"}} {
				s.Channel = workflow.Message
				if _, err := r.Suppress(background, s); err != nil {
					t.Fatal(err)
				}
			}
			r.rename(l, tt.to)
			r.settle(48 * time.Hour)
			r.calledAre(tt.called...)
			r.expect(l, tt.expects)
		})
	}
}

// A lead gets the external id of a person while that person is being suppressed.
func TestPromise13ANewExternalIDDoesNotPassASuppressionThatIsBeingWritten(t *testing.T) {
	said := func(b *store.Batch) bool { return len(b.Suppressions) > 0 }
	other := func(b *store.Batch) bool { return b.Ping }
	for _, tt := range []struct {
		name  string
		holds func(b *store.Batch) bool
	}{{"while the suppression is being written", said}, {"and both are decided together", other}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newFaulty(t, nil, nil)
				l := w.enroll(w.waitThenCall(time.Hour), phone)
				synctest.Wait()
				release := hold(s, tt.holds, nil)
				answers := make(chan error, 3)
				ask := func(f func(ctx context.Context) error) {
					go func() { answers <- f(context.Background()) }()
					synctest.Wait()
				}
				suppress := func(ctx context.Context) error {
					_, err := w.eng.Suppress(ctx, engine.Suppress{ExternalID: "crm-1"})
					return err
				}
				rename := func(ctx context.Context) error {
					id := "crm-1"
					_, err := w.eng.UpdateLead(ctx, l.WorkflowID, l.ID, engine.LeadUpdate{ExternalID: &id})
					return err
				}
				if tt.name[0] == 'w' {
					ask(suppress)
					ask(rename)
					w.flood()
					answers <- nil
				} else {
					ask(w.eng.Health)
					ask(rename)
					ask(suppress)
				}
				release()
				for range 3 {
					if err := <-answers; err != nil {
						t.Error(err)
					}
				}
				w.expectState(l, lead.Removed)
			})
		})
	}
}

// readLate is a store in which something happens right after suppressions were read.
type readLate struct {
	store.Store
	then func()
}

func (s *readLate) Suppressions(ctx context.Context, q store.SuppressionQuery) ([]store.Suppression, error) {
	rows, err := s.Store.Suppressions(ctx, q)
	if then := s.then; then != nil && q.Seqs != nil {
		s.then = nil
		then()
	}
	return rows, err
}

// Whoever is enrolled while a suppression for one channel is lifted is not kept from it.
func TestAnEnrollmentTakesNoAccountOfASuppressionThatWasLiftedMeanwhile(t *testing.T) {
	st := &readLate{Store: memory.New()}
	r := newRulesOn(t, st)
	wf := r.activate(callThenText)
	sup, err := r.Suppress(background, engine.Suppress{PhoneNumber: phone, Channel: workflow.VoiceCall})
	if err != nil {
		t.Fatal(err)
	}
	lifted := false
	st.then = func() { // enrolling was refused, and is about to take account of it
		lifted = true
		if _, err := r.Lift(background, sup.ID); err != nil {
			t.Error(err)
		}
	}
	l := r.enroll(wf, phone)
	r.settle(0)
	if !lifted {
		t.Fatal("it was not lifted meanwhile")
	}
	r.calledAre("call")
	r.expect(l, "enrolled: call=completed wait=waiting")
}

// sharedLate is readLate for a store that engines share.
type sharedLate struct {
	*postgres.Store
	reads atomic.Int32 // of suppressions of persons, until then
	then  atomic.Pointer[func()]
}

func (s *sharedLate) Suppressions(ctx context.Context, q store.SuppressionQuery) ([]store.Suppression, error) {
	rows, err := s.Store.Suppressions(ctx, q)
	if q.OfPersons() || q.Seqs != nil {
		if s.reads.Add(-1) == 0 {
			(*s.then.Load())()
		}
	}
	return rows, err
}

// Another engine suppresses somebody, or lifts that, between what this one has read and what
// it writes.
func TestPromise13SuppressionsOfAnotherEngineAreNotPassed(t *testing.T) {
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	o := postgres.Options{Schema: pgtest.Schema(t)}
	var engines [2]*engine.Engine
	var late *sharedLate
	for i := range engines {
		st, err := postgres.Open(t.Context(), pgtest.URL(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		late = &sharedLate{Store: st}
		if engines[i], err = engine.New(late, engine.Config{
			Handlers: map[string]engine.Handler{"voice_call": engine.HandlerFunc(liveCall)}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		}); err != nil {
			t.Fatal(err)
		}
		if err := engines[i].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = engines[i].Shutdown(context.Background()) })
	}
	there, here := engines[0], engines[1]
	def, err := workflow.Parse([]byte(`{"name": "w", "entry": "wait", "nodes": [{"id": "wait", "type": "time", "config": {"duration": "1h"}},
		{"id": "call", "type": "voice_call"}, {"id": "won", "type": "converted"}],
		"edges": [{"from": "wait", "to": "call"}, {"from": "call", "to": "won", "label": "default"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	w, err := there.CreateWorkflow(t.Context(), def)
	if err == nil {
		w, err = there.ActivateWorkflow(t.Context(), w.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	meanwhile := func(reads int32, what func() error) {
		then := func() {
			if err := what(); err != nil {
				t.Error(err)
			}
		}
		late.then.Store(&then)
		late.reads.Store(reads)
	}
	l, err := here.Enroll(t.Context(), w.ID, lead.Contact{PhoneNumber: phone})
	if err != nil {
		t.Fatal(err)
	}
	meanwhile(1, func() error {
		_, err := there.Suppress(t.Context(), engine.Suppress{ExternalID: "crm-1"})
		return err
	})
	id := "crm-1"
	if l, err = here.UpdateLead(t.Context(), w.ID, l.ID, engine.LeadUpdate{ExternalID: &id}); err != nil || l.State != lead.Removed {
		t.Errorf("a lead with the external id of somebody who was suppressed meanwhile: %+v, %v", l, err)
	}

	// After what is read when enrolling is refused, and after what is read when it is decided.
	for reads := range int32(2) {
		other := fmt.Sprintf("+1415555268%d", reads)
		sup, err := here.Suppress(t.Context(), engine.Suppress{PhoneNumber: other, Channel: workflow.VoiceCall})
		if err != nil {
			t.Fatal(err)
		}
		lifted := false
		meanwhile(reads+1, func() error {
			lifted = true
			_, err := there.Lift(t.Context(), sup.ID)
			return err
		})
		l, err := here.Enroll(t.Context(), w.ID, lead.Contact{PhoneNumber: other})
		if err != nil || !lifted {
			t.Fatal(lifted, err)
		}
		x, err := here.ExplainAt(t.Context(), w.ID, l.ID, time.Now().Add(2*time.Hour))
		if err != nil || x.Node != "call" {
			t.Errorf("it is kept from a channel whose suppression was lifted: %+v, %v", x, err)
		}
	}
}
