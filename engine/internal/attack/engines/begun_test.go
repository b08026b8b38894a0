package engines

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
)

// An attempt that is on record may call its handler late, because its contact must be read
// before. Whatever stops the person, at that engine or at another, returns after that
// (promises 13, 15 and 17), also if it asks for what is on record already.
func TestWhatStopsPeopleWaitsForHandlersOfAllEngines(t *testing.T) {
	for name, stop := range map[string]func(e *engine.Engine, l lead.Lead) error{
		"Suppress": func(e *engine.Engine, l lead.Lead) error {
			_, err := e.Suppress(ctx, engine.Suppress{PhoneNumber: l.PhoneNumber})
			return err
		},
		"Suppress for a channel": func(e *engine.Engine, l lead.Lead) error {
			_, err := e.Suppress(ctx, engine.Suppress{PhoneNumber: l.PhoneNumber, Channel: workflow.VoiceCall})
			return err
		},
		"RemoveContact": func(e *engine.Engine, l lead.Lead) error {
			_, err := e.RemoveContact(ctx, l.PhoneNumber)
			return err
		},
		"Hold": func(e *engine.Engine, l lead.Lead) error {
			_, err := e.Hold(ctx, l.WorkflowID, l.ID, engine.Hold{})
			return err
		},
		"HoldContact": func(e *engine.Engine, l lead.Lead) error {
			_, err := e.HoldContact(ctx, l.PhoneNumber, engine.Hold{})
			return err
		},
		"HoldLeads": func(e *engine.Engine, l lead.Lead) error {
			_, err := e.HoldLeads(ctx, l.WorkflowID, engine.LeadFilter{PhoneNumber: l.PhoneNumber}, engine.Hold{})
			return err
		},
		// Their attempts are more than is allowed then.
		"SetLimits": func(e *engine.Engine, _ lead.Lead) error { return e.SetLimits(ctx, []workflow.Limit{{InFlight: 1}}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			stopped := map[string]bool{}
			f := newFleet(t, 1, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
				mu.Lock()
				defer mu.Unlock()
				if stopped[a.Contact.PhoneNumber] {
					t.Errorf("attempt %s begins although %s has returned", a.IdempotencyKey, name)
				}
				return engine.Result{}, nil
			})
			s := &slow{waiting: make(chan struct{}), release: make(chan struct{}), left: make(chan struct{})}
			f.wrap = func(st *postgres.Store) store.Shared { s.Store = st; return s }
			f.join()
			f.spread()
			wf := f.activate(0, callWaitText(time.Hour))
			s.wait.Store(true)
			leads := map[int64]lead.Lead{}
			for i := range 20 {
				l, err := f.engines[0].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)})
				if err != nil {
					t.Fatal(err)
				}
				leads[l.ID.Seq()] = l
			}
			<-s.waiting
			over := make(chan struct{})
			go func() {
				defer close(over)
				var all sync.WaitGroup
				for _, seq := range s.seqs {
					for _, e := range f.engines {
						all.Go(func() {
							if err := stop(e, leads[seq]); err != nil {
								t.Error(err)
							}
							mu.Lock()
							defer mu.Unlock()
							stopped[leads[seq].PhoneNumber] = true
						})
					}
				}
				all.Wait()
			}()
			select { // whichever: the handlers are called after that
			case <-over:
			case <-time.After(300 * time.Millisecond):
			}
			close(s.release)
			<-over
			f.until("their handlers are called", func() bool {
				for _, seq := range s.seqs {
					steps, err := f.engines[0].History(ctx, wf, leads[seq].ID)
					if err != nil {
						t.Fatal(err)
					}
					if len(steps) == 0 || len(steps[0].Attempts) == 0 || steps[0].Attempts[0].EndedAt.IsZero() {
						return false
					}
				}
				return true
			})
		})
	}
}
