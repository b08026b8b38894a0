package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/faulty"
)

// hold has the next batch that matches wait in the middle of its commit until it
// is released, and then end like that.
func hold(s *faulty.Store, match func(b *store.Batch) bool, ends error) (release func()) {
	held := make(chan struct{})
	s.Inject(faulty.Fault{Method: faulty.Commit, If: match, Until: held, Err: ends})
	return func() { close(held) }
}

func removes(b *store.Batch) bool {
	for _, c := range b.Changes {
		if c.After.State == lead.Removed {
			return true
		}
	}
	return false
}

// Two removals of one lead, the second while the first is being written: it is decided
// on the result of the first, even if so much comes in meanwhile that the next batch is
// decided immediately.
func TestPromise1ALeadInABatchInFlightIsDecidedOnWhenThatHasLanded(t *testing.T) {
	for _, c := range []struct {
		name          string
		flooded       bool
		ends          error
		first, second error
	}{
		{"written", false, nil, nil, lead.ErrLeadFinal},
		{"refused", false, errDisk, errDisk, nil},
		{"written while much comes in", true, nil, nil, lead.ErrLeadFinal},
		{"refused while much comes in", true, errDisk, errDisk, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newFaulty(t, nil, nil)
				l := w.enroll(w.waitThenCall(time.Hour), phone)
				synctest.Wait()
				release := hold(s, removes, c.ends)
				answers := [2]chan error{make(chan error, 1), make(chan error, 1)}
				for i := range answers {
					go func() {
						_, err := w.eng.Remove(context.Background(), l.WorkflowID, l.ID)
						answers[i] <- err
					}()
					synctest.Wait()
					if len(answers[i]) > 0 {
						t.Fatalf("removal %d is answered before anything is on disk: %v", i+1, <-answers[i])
					}
				}
				if c.flooded {
					w.flood()
				}
				w.expectState(l, lead.Enrolled)
				release()
				if err := <-answers[0]; !errors.Is(err, c.first) || (err == nil) != (c.first == nil) {
					t.Errorf("the first removal answers %v, want %v", err, c.first)
				}
				if err := <-answers[1]; !errors.Is(err, c.second) || (err == nil) != (c.second == nil) {
					t.Errorf("the second removal answers %v, want %v", err, c.second)
				}
				w.expectState(l, lead.Removed)
				w.expectSteps(l, "wait=cancelled")
			})
		})
	}
}

// When a batch fails, what was decided while it was written is decided again: only the
// callers of the failed batch get an error.
func TestABatchThatFailsDoesNotFailTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const others = 200 // enough to be decided at once
		w, s := newFaulty(t, nil, nil)
		wf := w.waitThenCall(time.Hour)
		ids := w.enrollMany(wf, 0, 1+others)
		synctest.Wait()
		release := hold(s, removes, errDisk)
		remove := func(id lead.ID) chan error {
			answer := make(chan error, 1)
			go func() {
				_, err := w.eng.Remove(context.Background(), wf, id)
				answer <- err
			}()
			return answer
		}
		unlucky := remove(ids[0])
		synctest.Wait()
		var answers []chan error
		for _, id := range ids[1:] {
			answers = append(answers, remove(id))
		}
		synctest.Wait()
		release()
		if err := <-unlucky; !errors.Is(err, errDisk) {
			t.Errorf("the removal in the failed batch answers %v", err)
		}
		for i, answer := range answers {
			if err := <-answer; err != nil {
				t.Errorf("removal %d, of the batch after it, answers %v", i, err)
			}
		}
		w.expectCounts(wf, map[lead.State]int64{lead.Enrolled: 1, lead.Removed: others})
		if got := w.eng.Stats(); got.LeadsRemoved != others || got.TimersCancelled != others {
			t.Errorf("%d leads removed and %d timers cancelled by the counters, want %d", got.LeadsRemoved, got.TimersCancelled, others)
		}
		for _, id := range ids[1:] {
			w.expectSteps(lead.Lead{WorkflowID: wf, ID: id}, "wait=cancelled")
		}
	})
}

// An outcome that comes while a batch in flight takes the lead into pending
// removal is not lost, and not taken twice.
func TestPromise8AnOutcomeThatMeetsABatchInFlight(t *testing.T) {
	for _, ends := range []error{nil, errDisk} {
		synctest.Test(t, func(t *testing.T) {
			w, s := newFaulty(t, liveCall, nil)
			l := w.enroll(w.callWaitMessage(), phone)
			synctest.Wait()
			step := w.history(l)[0].ID
			release := hold(s, func(b *store.Batch) bool {
				return len(b.Changes) == 1 && b.Changes[0].After.State == lead.PendingRemoval
			}, ends)
			asked, told := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := w.eng.Remove(context.Background(), l.WorkflowID, l.ID)
				asked <- err
			}()
			synctest.Wait()
			go func() {
				_, err := w.eng.CompleteStep(context.Background(), step, engine.Callback{Outcome: "completed"})
				told <- err
			}()
			synctest.Wait()
			release()
			if err := <-asked; !errors.Is(err, ends) {
				t.Errorf("Remove answers %v, want %v", err, ends)
			}
			if err := <-told; err != nil {
				t.Errorf("the outcome is refused: %v", err)
			}
			synctest.Wait()
			if ends == nil {
				w.expectSteps(l, "call=completed wait=cancelled")
			} else {
				w.expectSteps(l, "call=completed wait=waiting")
			}
		})
	}
}

// Shutdown waits for a batch in flight, and the callers of that batch get its result.
func TestShutdownWaitsForABatchInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newFaulty(t, nil, nil)
		l := w.enroll(w.waitThenCall(time.Hour), phone)
		synctest.Wait()
		release := hold(s, removes, nil)
		removed, stopped := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := w.eng.Remove(context.Background(), l.WorkflowID, l.ID)
			removed <- err
		}()
		synctest.Wait()
		over, cancel := context.WithCancel(context.Background())
		cancel()
		go func() { stopped <- w.eng.Shutdown(over) }()
		synctest.Wait()
		if len(removed)+len(stopped) > 0 {
			t.Fatal("somebody is answered while the batch is in flight")
		}
		release()
		if err := <-removed; err != nil {
			t.Errorf("Remove answers %v", err)
		}
		<-stopped
	})
}

// A call whose beginning is in flight when Shutdown is asked for is made, and
// Shutdown waits for it too (promise 3).
func TestShutdownWaitsForTheCallsOfABatchInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newFaulty(t, func(ctx context.Context, _ engine.Attempt) (engine.Result, error) {
			select {
			case <-time.After(time.Minute):
				return engine.Result{}, nil
			case <-ctx.Done():
				return engine.Result{}, context.Cause(ctx)
			}
		}, nil)
		wf := w.waitThenCall(time.Hour)
		l := w.enroll(wf, phone)
		release := hold(s, func(b *store.Batch) bool {
			return len(b.Changes) == 1 && b.Changes[0].After.State == lead.InStep
		}, nil)
		w.pass(time.Hour)
		stopped := make(chan error, 1)
		go func() { stopped <- w.eng.Shutdown(background) }()
		synctest.Wait()
		release()
		w.pass(59 * time.Second)
		if len(stopped) > 0 {
			t.Fatal("Shutdown returns during the call")
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		w.expectSteps(l, "wait=completed call=completed done=converted")
	})
}

// flood makes the loop decide while a batch is in flight, which it does when
// there is enough to decide.
func (w *world) flood() {
	synctest.Wait() // what was asked before is decided first
	for range 100 {
		go func() {
			if err := w.eng.Health(context.Background()); err != nil {
				w.t.Errorf("Health: %v", err)
			}
		}()
	}
	synctest.Wait()
}

func TestWhatAHandlerCameToWaitsForABatchInFlight(t *testing.T) {
	for _, flooded := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			back := make(chan struct{})
			w, s := newFaulty(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
				<-back
				return engine.Result{}, nil
			}, nil)
			l := w.enroll(w.callWaitMessage(), phone)
			synctest.Wait()
			release := hold(s, func(b *store.Batch) bool {
				return len(b.Changes) == 1 && b.Changes[0].After.State == lead.PendingRemoval
			}, nil)
			asked := make(chan error, 1)
			go func() {
				_, err := w.eng.Remove(context.Background(), l.WorkflowID, l.ID)
				asked <- err
			}()
			synctest.Wait()
			close(back)
			if flooded {
				w.flood()
			} else {
				synctest.Wait()
			}
			release()
			if err := <-asked; err != nil {
				t.Error(err)
			}
			synctest.Wait()
			w.expectState(l, lead.Removed)
			w.expectSteps(l, "call=completed wait=cancelled")
		})
	}
}

func TestASweepGoesOnWhenItsPageHasLanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1200
		w, s := newFaulty(t, liveCall, nil)
		wf := w.callOnce()
		w.enrollMany(wf, 0, n)
		synctest.Wait()
		release := hold(s, func(b *store.Batch) bool {
			return len(b.Changes) > 0 && b.Changes[0].After.State == lead.PendingRemoval
		}, nil)
		type answer struct {
			n   int
			err error
		}
		answers := make(chan answer, 1)
		go func() {
			got, err := w.eng.RemoveLeads(context.Background(), wf, engine.LeadFilter{All: true})
			answers <- answer{got, err}
		}()
		synctest.Wait()
		w.flood()
		release()
		if got := <-answers; got != (answer{n, nil}) {
			t.Errorf("%d leads are removed, %v, want %d", got.n, got.err, n)
		}
		w.expectCounts(wf, map[lead.State]int64{lead.PendingRemoval: n})
	})
}

// A workflow is not completed under a lead whose enrollment is in flight.
func TestAWorkflowChangesWhenABatchInFlightHasLanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newFaulty(t, nil, nil)
		wf := w.waitThenCall(time.Hour)
		synctest.Wait()
		release := hold(s, func(b *store.Batch) bool { return len(b.Enroll) > 0 }, nil)
		enrolled, completed := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := w.eng.Enroll(context.Background(), wf, lead.Contact{PhoneNumber: phone})
			enrolled <- err
		}()
		synctest.Wait()
		go func() {
			_, err := w.eng.CompleteWorkflow(context.Background(), wf)
			completed <- err
		}()
		w.flood()
		release()
		if err := <-enrolled; err != nil {
			t.Error(err)
		}
		if err := <-completed; !errors.Is(err, lead.ErrWorkflowStatus) {
			t.Errorf("a workflow with a lead is completed: %v", err)
		}
	})
}

// Once Pause has been answered nothing starts that was decided while the pause
// was in flight.
func TestNothingIsDecidedWhileAPauseIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newFaulty(t, nil, nil)
		wf := w.callOnce()
		synctest.Wait()
		release := hold(s, changesWorkflow, nil)
		paused, enrolled := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := w.eng.PauseWorkflow(context.Background(), wf)
			paused <- err
		}()
		synctest.Wait()
		go func() {
			_, err := w.eng.Enroll(context.Background(), wf, lead.Contact{PhoneNumber: phone})
			enrolled <- err
		}()
		w.flood()
		release()
		if err := <-paused; err != nil {
			t.Error(err)
		}
		if err := <-enrolled; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if calls := w.seen(); len(calls) > 0 {
			t.Errorf("%d calls in a paused workflow", len(calls))
		}
	})
}

func TestPromise5ARefusalLeavesNothingInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.enroll(w.callOnce(), phone)
		synctest.Wait()
		for range 3 {
			if _, err := w.eng.Remove(context.Background(), l.WorkflowID, l.ID); !errors.Is(err, lead.ErrLeadFinal) {
				t.Error(err)
			}
		}
		synctest.Wait()
		if n := w.eng.Stats().InMemory; n != 0 {
			t.Errorf("%d leads are in memory", n)
		}
	})
}

// A store that fails for good is not asked over and over.
func TestAStoreThatFailsIsLeftAloneForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newFaulty(t, nil, nil)
		w.enroll(w.callOnce(), phone)
		synctest.Wait()
		wf := w.waitThenCall(time.Minute)
		w.enroll(wf, phone)
		synctest.Wait()
		s.Inject(faulty.Fault{Method: faulty.Commit, Err: errDisk, Times: faulty.Always})
		before := s.Count(faulty.Commit)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		s.Clear()
		if asked := s.Count(faulty.Commit) - before; asked < 5 || asked > 50 {
			t.Errorf("asked %d times in a minute", asked)
		}
	})
}

// A change of a person comes into the batch of an enrollment that the store then refuses: it
// must not name a lead that never was.
func TestAChangeOfAPersonNamesNoLeadThatWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newFaulty(t, nil, nil)
		l := w.enroll(w.waitThenCall(time.Hour), phone)
		synctest.Wait()
		release := hold(s, func(b *store.Batch) bool { return b.Ping }, nil)
		answers := make(chan error, 3)
		var held []engine.ContactLead
		for _, ask := range []func() error{
			func() error { return w.eng.Health(background) },
			func() error {
				_, err := w.eng.Enroll(background, l.WorkflowID, lead.Contact{PhoneNumber: phone})
				if errors.Is(err, lead.ErrContactLive) {
					err = nil
				}
				return err
			},
			func() (err error) {
				held, err = w.eng.HoldContact(background, phone, engine.Hold{})
				return err
			},
		} {
			go func() { answers <- ask() }()
			synctest.Wait()
		}
		release()
		for range 3 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if len(held) != 1 || held[0].ID != l.ID {
			t.Errorf("it has held %+v, and the person has the lead %s", held, l.ID)
		}
	})
}
