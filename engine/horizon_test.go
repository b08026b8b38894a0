package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// waitThenCall is a workflow of a wait and a call.
func (w *world) waitThenCall(d time.Duration) lead.WorkflowID {
	w.t.Helper()
	nodes, edges := callOnce()
	return w.activate(append([]workflow.Node{workflow.Wait("wait", d)}, nodes...),
		append(edges, workflow.To("wait", "call"))...)
}

// expectOnce checks that handlers were called once for each of n attempts.
func (w *world) expectOnce(n int) {
	w.t.Helper()
	calls := map[string]int{}
	for _, a := range w.seen() {
		calls[a.IdempotencyKey]++
	}
	for key, n := range calls {
		if n != 1 {
			w.t.Errorf("attempt %s was made %d times", key, n)
		}
	}
	if len(calls) != n {
		w.t.Errorf("%d attempts were made, want %d", len(calls), n)
	}
}

func TestACrowdIsWorkedOffByAFewWorkersInOrder(t *testing.T) {
	const workers = 3
	crowd := crowdOf(20_000)
	synctest.Test(t, func(t *testing.T) {
		var running, most, inMemory atomic.Int64
		var w *world
		w = newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) {
			defer running.Add(-1)
			most.Store(max(most.Load(), running.Add(1)))
			inMemory.Store(max(inMemory.Load(), int64(w.eng.Stats().InMemory)))
			time.Sleep(time.Second)
			return engine.Result{}, nil
		})
		w.refit(func(c *engine.Config) { c.Workers = workers })
		wf := w.callOnce()
		w.enrollMany(wf, 0, crowd)
		time.Sleep(100 * time.Second)
		if n := w.counts(wf)[lead.Completed]; n < 99*workers || n > 100*workers {
			t.Errorf("%d workers have done %d calls of a second in 100 seconds", workers, n)
		}
		if most.Load() != workers {
			t.Errorf("%d handlers ran at the same time, want %d", most.Load(), workers)
		}
		if inMemory.Load() > 18_000 {
			t.Errorf("%d leads were in memory", inMemory.Load())
		}
		w.refit(func(c *engine.Config) { c.Workers = 4 * workers })
		time.Sleep(100 * time.Second)
		w.refit(func(c *engine.Config) { c.Workers = crowd })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.expectCounts(wf, map[lead.State]int64{lead.Completed: int64(crowd)})
		w.expectOnce(crowd)
		var last int64
		behind := 0
		for _, a := range w.seen()[:4*workers*100] {
			last = max(last, a.LeadID.Seq())
			if last-a.LeadID.Seq() > 4*workers {
				behind++
			}
		}
		if behind > 0 {
			t.Errorf("%d leads were overtaken", behind)
		}
	})
}

func TestManyLeadsOfOneMillisecond(t *testing.T) {
	crowd := crowdOf(18_000) // more than memory holds
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		nodes, edges := callOnce()
		until := time.Now().Add(time.Hour).Format(time.RFC3339)
		wf := w.activate(append([]workflow.Node{workflow.WaitUntil("wait", fmt.Sprintf("date(%q)", until))}, nodes...),
			append(edges, workflow.To("wait", "call"))...)
		w.enrollMany(wf, 0, crowd)
		time.Sleep(30 * time.Minute)
		// So that some are in memory, some are not, and some are looked at again.
		w.enrollMany(w.waitThenCall(time.Minute), 0, 10)
		nodes, edges = callOnce()
		if _, err := w.eng.ActivateWorkflow(context.Background(), w.draft(nodes, edges...)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30*time.Minute + time.Minute)
		synctest.Wait()
		w.expectCounts(wf, map[lead.State]int64{lead.Completed: int64(crowd)})
		w.expectOnce(crowd + 10)
	})
}

func TestADraftOfManyIsActivated(t *testing.T) {
	crowd := crowdOf(10_000)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		nodes, edges := callOnce()
		draft := w.draft(nodes, edges...)
		w.enrollMany(draft, 0, crowd)
		synctest.Wait()
		if n := w.eng.Stats().InMemory; n != 0 {
			t.Errorf("%d leads of a draft are in memory", n)
		}
		w.expectOnce(0)
		if _, err := w.eng.ActivateWorkflow(context.Background(), draft); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.expectCounts(draft, map[lead.State]int64{lead.Completed: int64(crowd)})
		w.expectOnce(crowd)
	})
}

func TestWhatIsPausedDoesNotHoldUpWhatIsActive(t *testing.T) {
	crowd := crowdOf(9000)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		paused, active := w.waitThenCall(time.Minute), w.waitThenCall(2*time.Minute)
		w.enrollMany(paused, 0, crowd)
		w.enrollMany(active, 0, 100)
		if _, err := w.eng.PauseWorkflow(context.Background(), paused); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		w.expectCounts(active, map[lead.State]int64{lead.Completed: 100})
		w.expectCounts(paused, map[lead.State]int64{lead.Enrolled: int64(crowd)})
		w.refit(nil) // a start finds them paused too
		synctest.Wait()
		w.expectCounts(paused, map[lead.State]int64{lead.Enrolled: int64(crowd)})
		if _, err := w.eng.ResumeWorkflow(context.Background(), paused); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.expectCounts(paused, map[lead.State]int64{lead.Completed: int64(crowd)})
		w.expectOnce(crowd + 100)
	})
}

// The store is read from the beginning again while leads in every phase are in memory.
func TestLookingAnewStartsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook := engine.Hook{Name: "slow", Run: func(context.Context, engine.HookEvent) error {
			time.Sleep(time.Second)
			return nil
		}}
		w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			switch a.LeadID.Seq() % 5 {
			case 0:
				time.Sleep(5 * time.Second)
			case 1:
				return engine.InFlight("call"), nil
			case 2:
				if a.Number == 1 {
					return engine.Result{}, engine.RetryAfter(errBusy, 3*time.Second)
				}
			case 3:
				if a.Scheduled == nil {
					return engine.Result{Schedule: []engine.Message{{After: 2 * time.Second}}}, nil
				}
			}
			return engine.Result{}, nil
		}, hook)
		wf := w.activate([]workflow.Node{
			workflow.Wait("wait", 2*time.Second),
			workflow.CallNode("call", nil).WithTimeout(4 * time.Second).WithRetry(
				workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Second)}),
			workflow.Wait("rest", 4*time.Second), workflow.End("done", workflow.Converted),
		}, workflow.To("wait", "call"), workflow.On("call", workflow.DefaultLabel, "rest"), workflow.To("rest", "done"))
		other := w.callOnce()
		w.enrollMany(wf, 0, 500)
		for range 300 {
			if _, err := w.eng.PauseWorkflow(context.Background(), other); err != nil {
				t.Fatal(err)
			}
			if _, err := w.eng.ResumeWorkflow(context.Background(), other); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		w.expectCounts(wf, map[lead.State]int64{lead.Completed: 500})
		w.expectOnce(500 + 200) // one retry, one message
	})
}

func TestActivatingADoesNotWaitForTheSleepersOfB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		sleepers := w.waitThenCall(50 * time.Second)
		crowd := crowdOf(6000)
		w.enrollMany(sleepers, 0, crowd)
		nodes, edges := callOnce()
		draft := w.draft(nodes, edges...)
		l := w.enroll(draft, "+14155552671")
		if _, err := w.eng.ActivateWorkflow(context.Background(), draft); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.expectState(l, lead.Completed)
		time.Sleep(50*time.Second + time.Millisecond)
		synctest.Wait()
		w.expectCounts(sleepers, map[lead.State]int64{lead.Completed: int64(crowd)})
	})
}

func TestPromise4ADeadlineDoesNotWaitForLeadsWithoutAWorker(t *testing.T) {
	crowd := crowdOf(6000)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCallUnlessSlow)
		w.refit(func(c *engine.Config) { c.Workers = 3 })
		// A call that waits for its callback, which never comes.
		call := w.enroll(w.callOnce(func(n workflow.Node) workflow.Node { return n.WithTimeout(2 * time.Minute) }), "+14155552671")
		synctest.Wait()
		w.expectState(call, lead.InStep)
		// A crowd that waits for three workers, who take an hour each.
		slow := w.draft([]workflow.Node{
			workflow.MessageNode("text", nil).WithTimeout(2 * time.Hour), workflow.End("done", workflow.Converted),
		}, workflow.On("text", workflow.DefaultLabel, "done"))
		w.enrollMany(slow, 1, crowd)
		if _, err := w.eng.ActivateWorkflow(context.Background(), slow); err != nil {
			t.Fatal(err)
		}
		sleeper := w.enroll(w.activate([]workflow.Node{workflow.Wait("wait", time.Minute), workflow.End("done", workflow.Dropped)},
			workflow.To("wait", "done")), "+14155552671")
		r := w.remove(call)
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		select {
		case <-r.Done():
		default:
			t.Errorf("the removal still waits, %s after the step's deadline", time.Second)
		}
		w.expectState(call, lead.Removed)
		w.expectState(sleeper, lead.Completed)
		if n := len(w.seen()); n != 4 {
			t.Errorf("%d handlers were called, want 4", n)
		}
		// So that the world can end.
		if _, err := w.eng.CancelWorkflow(context.Background(), slow); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
	})
}

// liveCallUnlessSlow answers calls with InFlight, and takes an hour for anything
// else.
func liveCallUnlessSlow(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	if a.Node.Type == workflow.VoiceCall {
		return engine.InFlight("call-1"), nil
	}
	time.Sleep(time.Hour)
	return engine.Result{}, nil
}

// Leads that go round without ever waiting have no claim on the workers: as many
// as there are of them, another lead gets its turn after those that were due
// before it, and so does the retry that a removal waits for (promise 4), also
// when the crowd is too large to be held in memory.
func TestLeadsThatGoRoundLetOthersHaveTheirTurn(t *testing.T) {
	for _, crowd := range []int{2, crowdOf(9000)} {
		t.Run(fmt.Sprint(crowd), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
					if a.Node.Type == workflow.VoiceCall {
						return engine.Result{}, errors.New("busy")
					}
					select {
					case <-time.After(time.Second):
					case <-ctx.Done():
					}
					return engine.Result{}, nil
				})
				w.config.Workers = max(1, crowd/20)
				w.crash()
				call := workflow.CallNode("call", nil).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Minute)})
				calls := w.activate([]workflow.Node{call})
				pending := w.enroll(calls, phone)
				synctest.Wait()
				w.remove(pending)
				round := w.activate([]workflow.Node{workflow.MessageNode("text", nil)}, workflow.On("text", workflow.DefaultLabel, "text"))
				w.enrollMany(round, 0, crowd)
				synctest.Wait()
				other := w.enroll(calls, "+14155552672")
				w.pass(30 * time.Second)
				if got := w.history(other)[0].Attempts; len(got) == 0 {
					t.Error("a lead never gets its turn")
				}
				w.crash() // the queued retries are on disk alone, behind the crowd
				w.pass(2 * time.Minute)
				w.expectState(pending, lead.Removed)
			})
		})
	}
}
