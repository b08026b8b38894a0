package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/faulty"
)

func changesWorkflow(b *store.Batch) bool { return len(b.Workflows) > 0 }

// A lead comes due in the same batch in which its workflow is paused, and the commit of
// the pause fails: the lead must go on.
func TestAFailedPauseStopsNobody(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(w *world.World, id lead.WorkflowID) error
	}{
		{"pause", func(w *world.World, id lead.WorkflowID) error {
			_, err := w.Eng.PauseWorkflow(context.Background(), id)
			return err
		}},
		{"cancel", func(w *world.World, id lead.WorkflowID) error {
			_, err := w.Eng.CancelWorkflow(context.Background(), id)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := world.NewFaulty(t, nil)
				wf := w.WaitThenCall(time.Minute)
				l := w.Enroll(wf, "+14155552671")
				synctest.Wait()
				s.Inject(faulty.Fault{If: changesWorkflow, Err: world.ErrDisk})
				asked := make(chan error)
				// In the same millisecond as the lead comes due.
				time.AfterFunc(time.Minute, func() { asked <- c.change(w, wf) })
				if err := <-asked; !errors.Is(err, world.ErrDisk) {
					t.Errorf("the change answers %v", err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				w.ExpectState(l, lead.Completed)
			})
		})
	}
}

// Every commit fails for a while, at every stage of many leads' lives.
func TestCommitFailuresLoseNothing(t *testing.T) {
	for _, fault := range []error{world.ErrDisk, &store.ConflictError{Kind: "lead", Seq: 1}} {
		for every := 2; every <= 5; every++ {
			t.Run(fmt.Sprintf("%v every %d", fault, every), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { failEvery(t, fault, every) })
			})
		}
	}
}

func failEvery(t *testing.T, fault error, every int) {
	people := 300
	if world.RaceEnabled {
		people = 80
	}
	var mu sync.Mutex // guards calls
	calls := map[string]int{}
	var w *world.World
	w, s := world.NewFaulty(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		// What a handler is called for is on record, as this very attempt.
		steps, err := w.Eng.History(context.Background(), a.WorkflowID, a.LeadID)
		if err != nil {
			return engine.Result{}, err
		}
		if err := onRecord(steps, a); err != nil {
			t.Error(err)
		}
		mu.Lock()
		calls[a.IdempotencyKey]++
		mu.Unlock()
		if a.Redelivered {
			t.Errorf("attempt %s is called a redelivery, but nothing crashed", a.IdempotencyKey)
		}
		time.Sleep(time.Duration(a.LeadID.Seq()%7) * time.Millisecond)
		if a.Node.Type == workflow.VoiceCall && a.Number == 1 {
			return engine.Result{}, errors.New("busy")
		}
		return engine.Result{}, nil
	}, engine.Hook{Name: "none", Run: func(context.Context, engine.HookEvent) error { return nil }})
	wf := w.Activate([]workflow.Node{
		workflow.CallNode("call", nil).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(3 * time.Millisecond)}),
		workflow.Wait("wait", 5*time.Millisecond),
		workflow.MessageNode("text", nil),
		workflow.End("done", workflow.Converted),
	}, workflow.On("call", "completed", "wait"), workflow.To("wait", "text"), workflow.On("text", "success", "done"))

	s.Inject(faulty.Fault{Method: faulty.Commit, Nth: every, Every: every, Times: faulty.Always, Err: fault})
	var leads []lead.Lead
	refused := 0
	for i := range people {
		l, err := w.Eng.Enroll(context.Background(), wf, world.Person(i))
		switch {
		case err == nil:
			leads = append(leads, l)
		case errors.Is(err, fault):
			refused++
		default:
			t.Errorf("Enroll: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	// Conflicts are decided anew; other faults are told.
	if conflict := errors.Is(fault, store.ErrConflict); conflict != (refused == 0) {
		t.Errorf("%d of %d callers were refused", refused, people)
	}
	w.ExpectCounts(wf, map[lead.State]int64{lead.Completed: int64(people - refused)})
	for _, l := range leads {
		w.ExpectPath(l, "call=completed wait=completed text=success done=converted")
	}
	if got, want := len(calls), 3*len(leads); got != want {
		t.Errorf("%d attempts were made, want %d", got, want)
	}
	for key, n := range calls {
		if n != 1 {
			t.Errorf("attempt %s was made %d times", key, n)
		}
	}
}

// The engine backs off from a full disk: it neither keeps the processor busy nor fills
// the log.
func TestAStoreThatFailsForAWhileIsAskedLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := world.NewFaulty(t, nil)
		l := w.Enroll(w.WaitThenCall(time.Minute), "+14155552671")
		synctest.Wait()
		before := s.Count(faulty.Commit)
		s.Inject(faulty.Fault{Method: faulty.Commit, Times: 1000, Err: world.ErrDisk})
		w.Pass(2 * time.Minute)
		if n := s.Count(faulty.Commit) - before; n < 5 || n > 30 {
			t.Errorf("in a minute the store was asked %d times to commit", n)
		}
		s.Clear()
		w.Pass(10 * time.Second)
		w.ExpectState(l, lead.Completed)
	})
}

// onRecord returns an error unless the history has the attempt, in progress.
func onRecord(steps []lead.Step, a engine.Attempt) error {
	for _, s := range steps {
		if s.ID != a.StepID {
			continue
		}
		for _, on := range s.Attempts {
			if on.Number == a.Number && on.Status == lead.StepInProgress {
				return nil
			}
		}
	}
	return fmt.Errorf("the handler is called for %s, which is not on record: %+v", a.IdempotencyKey, steps)
}

func TestAMessageThatIsNoJSONFailsItsStepAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world.New(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Contact.PhoneNumber == "+14155552671" {
				return engine.Result{Schedule: []engine.Message{{After: time.Hour, Data: json.RawMessage(`{"half":`)}}}, nil
			}
			return engine.Result{}, nil
		})
		wf := w.CallOnce()
		bad := w.Enroll(wf, "+14155552671")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		good, err := w.Eng.Enroll(ctx, wf, lead.Contact{PhoneNumber: "+14155552672"})
		if err != nil {
			t.Fatalf("nobody can be enrolled any more: %v", err)
		}
		synctest.Wait()
		w.ExpectPath(good, "call=completed done=converted")
		w.ExpectPath(bad, "call=failed done=converted")
	})
}

func TestAContactThatCannotBeReadForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world.New(t, nil)
		l := w.Enroll(w.WaitThenCall(time.Hour), "+14155552671")
		s := w.Refit(nil) // whose memory has no contacts
		nodes, edges := world.CallOnce()
		draft := w.Draft(nodes, edges...)
		s.Inject(faulty.Fault{Method: faulty.Contacts, Times: faulty.Always, Err: world.ErrDisk})
		// The workflow that is activated has the engine look through the store
		// anew, in the batch that learns of the trouble.
		time.AfterFunc(time.Hour, func() {
			go w.Eng.ActivateWorkflow(context.Background(), draft)
		})
		time.Sleep(time.Hour + 10*time.Second)
		synctest.Wait()
		s.Clear()
		w.ExpectState(l, lead.InStep)
		if n := len(w.Seen()); n != 0 {
			t.Errorf("%d handlers were called without a contact", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		w.ExpectPath(l, "wait=completed call=completed done=converted")
		if n := len(w.Seen()); n != 1 {
			t.Errorf("%d handlers were called, want 1", n)
		}
	})
}
