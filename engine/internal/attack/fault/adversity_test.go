package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	"github.com/leadflow-go/leadflow/store/storetest"
)

// This file has faults of an engine's environment other than the disk: clocks, handlers
// and callers.

// The wall clock jumps an hour forward and back, again and again, while many leads are
// called, wait, get messages or are removed. Nothing is done twice, or too early by the
// clock at that time, removed leads stay silent, and every lead ends.
func TestAClockThatJumpsAnHourBackAndForth(t *testing.T) {
	seed := storetest.Seed(t)
	synctest.Test(t, func(t *testing.T) {
		const people, wait = 150, 2 * time.Hour
		rng := rand.New(rand.NewPCG(seed, 0))
		clock := &world.JumpingClock{}
		var mu sync.Mutex // guards what follows
		made, removed := map[string]int{}, map[lead.ID]bool{}
		begun := map[lead.StepID]bool{}
		texted := map[lead.ID]time.Time{}
		w := world.New(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			mu.Lock()
			made[a.IdempotencyKey]++
			if removed[a.LeadID] && !begun[a.StepID] {
				t.Errorf("step %s begins after the removal of its lead", a.StepID)
			}
			begun[a.StepID] = true
			if a.Node.Type == workflow.Message {
				texted[a.LeadID] = clock.Now()
			}
			mu.Unlock()
			switch n := a.LeadID.Seq() % 5; {
			case a.Node.Type != workflow.VoiceCall:
			case n == 0:
				return engine.InFlight(""), nil // and nobody calls back
			case n == 1 && a.Number == 1:
				return engine.Result{}, errors.New("busy")
			default:
				time.Sleep(time.Duration(n) * 7 * time.Minute)
			}
			return engine.Result{}, nil
		})
		w.Config.Clock = clock
		w.Crash()
		wf := w.Activate([]workflow.Node{
			workflow.CallNode("call", nil).WithTimeout(40 * time.Minute).
				WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(11 * time.Minute)}),
			workflow.Wait("wait", wait), workflow.MessageNode("text", nil), workflow.End("done", workflow.Converted),
		}, workflow.On("call", workflow.DefaultLabel, "wait"), workflow.To("wait", "text"), workflow.On("text", "success", "done"))

		var leads []lead.Lead
		forth := false
		for i := range people {
			leads = append(leads, w.Enroll(wf, world.Person(i).PhoneNumber))
			time.Sleep(time.Duration(rng.IntN(300)) * time.Second)
			if synctest.Wait(); rng.IntN(3) == 0 {
				if forth = !forth; forth {
					clock.Jump(time.Hour)
				} else {
					clock.Jump(-time.Hour)
				}
			}
			if l := leads[rng.IntN(len(leads))]; rng.IntN(4) == 0 {
				if _, err := w.Eng.Remove(world.Background, wf, l.ID); err == nil {
					mu.Lock()
					removed[l.ID] = true
					mu.Unlock()
				} else if !errors.Is(err, lead.ErrLeadFinal) {
					t.Errorf("Remove: %v", err)
				}
			}
		}
		w.Pass(24 * time.Hour)
		w.ExpectCounts(wf, map[lead.State]int64{
			lead.Completed: int64(people - len(removed)), lead.Removed: int64(len(removed)),
		})
		for key, n := range made {
			if n != 1 {
				t.Errorf("attempt %s was made %d times", key, n)
			}
		}
		for _, l := range leads {
			steps := w.History(l)
			if at, ok := texted[l.ID]; ok && at.Before(steps[1].ScheduledAt) {
				t.Errorf("lead %s was to be written to at %s, and was at %s", l.ID, steps[1].ScheduledAt, at)
			}
		}
		if len(removed) < 10 || len(texted) < 50 {
			t.Errorf("%d removed, %d written to: the test tests less than it says", len(removed), len(texted))
		}
	})
}

// Handlers that hang, and ignore their context, are abandoned at their deadline. They
// delay neither leads that wait for a worker, nor a removal, nor the end of the process.
func TestHandlersThatHangHoldUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := world.New(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Contact.PhoneNumber != world.Phone {
				<-release
			}
			return engine.Result{}, nil
		})
		w.Refit(func(c *engine.Config) { c.Workers = 4 })
		wf := w.CallOnce(func(n workflow.Node) workflow.Node { return n.WithTimeout(time.Minute) })
		var hanging []lead.Lead
		for i := range 12 {
			hanging = append(hanging, w.Enroll(wf, world.Person(i).PhoneNumber))
		}
		good := w.Enroll(wf, world.Phone)
		synctest.Wait()
		removal := w.Remove(hanging[0])
		w.ExpectState(hanging[0], lead.PendingRemoval)
		w.ExpectState(good, lead.Enrolled) // all workers hang
		w.Pass(time.Minute + time.Millisecond)
		select {
		case <-removal.Done():
		default:
			t.Error("the removal waits for a handler whose time is up")
		}
		w.Pass(2*time.Minute + 2*time.Millisecond)
		w.ExpectState(good, lead.Completed)
		for _, l := range hanging[1:] {
			w.ExpectPath(l, "call=failed done=converted")
		}
		last := w.Enroll(wf, "+14155559999")
		synctest.Wait()
		limited, cancel := context.WithTimeout(world.Background, 10*time.Second)
		defer cancel()
		begun := time.Now()
		if err := w.Eng.Shutdown(limited); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 10*time.Second {
			t.Errorf("Shutdown = %v after %s", err, time.Since(begun))
		}
		w.ExpectState(last, lead.InStep)
		close(release)
	})
}

// A caller whose context ends during a commit immediately gets an error. What it asked
// for is done completely or not at all; asking again tells which.
func TestACallerThatLeavesMidCommitChangesNothingHalf(t *testing.T) {
	type office struct {
		*world.World
		wf   lead.WorkflowID
		l    lead.Lead
		step lead.StepID
	}
	for _, c := range []struct {
		name  string
		ask   func(ctx context.Context, w *office) error
		again error // of asking the same, when it was done
	}{
		{"Enroll", func(ctx context.Context, w *office) error {
			_, err := w.Eng.Enroll(ctx, w.wf, lead.Contact{PhoneNumber: "+14155550001"})
			return err
		}, lead.ErrContactLive},
		{"Remove", func(ctx context.Context, w *office) error {
			_, err := w.Eng.Remove(ctx, w.wf, w.l.ID)
			return err
		}, nil},
		{"CompleteStep", func(ctx context.Context, w *office) error {
			_, err := w.Eng.CompleteStep(ctx, w.step, engine.Callback{Outcome: "completed"})
			return err
		}, nil},
		{"Pause", func(ctx context.Context, w *office) error {
			_, err := w.Eng.PauseWorkflow(ctx, w.wf)
			return err
		}, lead.ErrWorkflowStatus},
		{"Cancel", func(ctx context.Context, w *office) error {
			_, err := w.Eng.CancelWorkflow(ctx, w.wf)
			return err
		}, lead.ErrWorkflowStatus},
	} {
		for _, fault := range []error{nil, world.ErrDisk} { // of the commit that the caller has left
			t.Run(fmt.Sprint(c.name, ", ", fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					base, s := world.NewFaulty(t, world.LiveCall)
					w := &office{World: base, wf: base.CallWaitMessage()}
					w.l = w.Enroll(w.wf, world.Phone)
					synctest.Wait()
					w.step = w.History(w.l)[0].ID
					written := make(chan struct{})
					s.Inject(faulty.Fault{Method: faulty.Commit, Until: written, Err: fault})
					ctx, cancel := context.WithCancelCause(world.Background)
					left := errors.New("the caller has hung up")
					answer := make(chan error, 1)
					go func() { answer <- c.ask(ctx, w) }()
					synctest.Wait()
					before := everything(w.World)
					cancel(left)
					synctest.Wait()
					select {
					case err := <-answer:
						if !errors.Is(err, left) {
							t.Errorf("the caller is told %v", err)
						}
					default:
						t.Fatal("the caller is kept although it has left")
					}
					if got := everything(w.World); got != before {
						t.Errorf("before the commit is over there is\n%s, and was\n%s", got, before)
					}
					close(written)
					w.Pass(time.Second)
					if got := everything(w.World); (got == before) != (fault != nil) {
						t.Errorf("after the commit, which came to %v, there is\n%s, and was\n%s", fault, got, before)
					}
					again := c.again
					if fault != nil {
						again = nil
					}
					if err := c.ask(world.Background, w); !errors.Is(err, again) {
						t.Errorf("asking again: %v, want %v", err, again)
					}
				})
			})
		}
	}
}

// everything is what there is of all leads, as text.
func everything(w *world.World) string {
	w.Helper()
	text := ""
	flows, err := w.Store.Workflows(world.Background)
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range flows {
		leads, err := w.Store.Leads(world.Background, store.LeadQuery{Workflow: f.Seq})
		if err != nil {
			w.Fatal(err)
		}
		text += fmt.Sprintf("%s %s %+v\n", f.Name, f.Status, leads)
	}
	return text
}
