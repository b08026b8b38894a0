package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/faulty"
)

// line is a network that may be down.
type line struct {
	mu    sync.Mutex
	down  bool
	calls []string // idempotency keys of calls that came through
	tries int
}

func (l *line) set(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
}

func (l *line) handle(_ context.Context, a engine.Attempt) (engine.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tries++
	if l.down {
		return engine.Result{}, engine.NotMade(errors.New("no route to host"))
	}
	l.calls = append(l.calls, a.IdempotencyKey)
	return engine.Result{}, nil
}

// logged keeps the lines of the log that are errors.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(text))
	return len(text), nil
}

func (l *logged) count(what string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, what) {
			n++
		}
	}
	return n
}

// A fault of this machine or of the provider says nothing about a person: no lead fails,
// and everybody is called when the fault is over.
func TestAttemptsThatAreNotMadeAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var out line
		var log logged
		w.config.Handlers["voice_call"] = engine.HandlerFunc(out.handle)
		w.config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		w.config.Workers = 100
		w.crash()
		out.set(true)
		wf := w.callOnce()
		const leads = 300
		ids := w.enrollMany(wf, 0, leads)
		w.pass(time.Hour)
		if counts := w.counts(wf); counts[lead.InStep]+counts[lead.Enrolled] != leads {
			t.Errorf("after an hour: %v", counts)
		}
		if most := 70 * 100; out.tries > most || out.tries < 60 {
			t.Errorf("%d tries in an hour, want no more than %d", out.tries, most)
		}
		if n := log.count("attempts cannot be made"); n == 0 || n > 70 {
			t.Errorf("%d lines in the log, want one each time that it is tried", n)
		}
		out.set(false)
		w.pass(3 * time.Minute)
		w.expectCounts(wf, map[lead.State]int64{lead.Completed: leads})
		if len(out.calls) != leads {
			t.Errorf("%d calls, want %d", len(out.calls), leads)
		}
		if n := log.count("attempts can be made again"); n != 1 {
			t.Errorf("%d lines say that it works again", n)
		}
		first, err := w.eng.Lead(background, wf, ids[0])
		if err != nil {
			t.Fatal(err)
		}
		step := w.history(first)[0]
		if step.Outcome != "completed" || len(step.Attempts) != 1 || step.Attempts[0].Number != 1 || step.Attempts[0].Error != "" {
			t.Errorf("the step is %+v", step)
		}
		calls, _, err := w.eng.Calls(background, engine.CallFilter{LeadID: first.ID})
		if err != nil || len(calls) != 1 || calls[0].Status != lead.StepCompleted || calls[0].Attempt != 1 || calls[0].Error != "" {
			t.Errorf("the call log has %+v, %v", calls, err)
		}
		if s := w.eng.Stats(); s.StepsStarted != leads || s.Retries != 0 || s.NotMade != int64(out.tries-leads) || s.StepsFailed != 0 {
			t.Errorf("%+v after %d tries", s, out.tries)
		}
	})
}

// Only what shares the rate key rests.
func TestWhatSharesNoRateKeyGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		out, other := &line{down: true}, &line{}
		w.config.Handlers["voice_call"] = keyed{out, other}
		w.config.Workers = 100
		w.crash()
		wf := w.callOnce(func(n workflow.Node) workflow.Node { n.Label = "down"; return n })
		good := w.callOnce()
		w.enrollMany(wf, 0, 150)
		w.pass(time.Minute)
		l := w.enroll(good, "+14155559999")
		synctest.Wait()
		w.expectState(l, lead.Completed)
		out.set(false)
		w.pass(3 * time.Minute)
		w.expectCounts(wf, map[lead.State]int64{lead.Completed: 150})
	})
}

// The config of a typed handler says what its nodes depend on.
func TestTypedConfigsNameTheirRateKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		lines := map[string]*line{"a.test": {down: true}, "b.test": {}}
		w.config.Handlers["voice_call"] = engine.Typed(func(ctx context.Context, a engine.Attempt, c provider) (engine.Result, error) {
			return lines[c.Host].handle(ctx, a)
		})
		var log logged
		w.config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		w.crash()
		at := func(host string) lead.WorkflowID {
			return w.callOnce(func(n workflow.Node) workflow.Node {
				n.Config = json.RawMessage(`{"host":"` + host + `"}`)
				return n
			})
		}
		down, up := at("a.test"), at("b.test")
		w.enrollMany(down, 0, 5)
		w.pass(time.Minute)
		l := w.enroll(up, "+14155559999")
		synctest.Wait()
		w.expectState(l, lead.Completed)
		if n := log.count(`rate_key="voice_call a.test"`); n == 0 {
			t.Errorf("the log does not name the host: %q", log.lines)
		}
		lines["a.test"].set(false)
		w.pass(3 * time.Minute)
		w.expectCounts(down, map[lead.State]int64{lead.Completed: 5})
	})
}

// Without such a method, the nodes of a typed handler have one key.
func TestTypedConfigsWithoutARateKeyShareOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		out := &line{down: true}
		w.config.Handlers["voice_call"] = engine.Typed(func(ctx context.Context, a engine.Attempt, c struct{ Host string }) (engine.Result, error) {
			return out.handle(ctx, a)
		})
		var log logged
		w.config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		w.crash()
		w.enroll(w.callOnce(), "+14155559999")
		synctest.Wait()
		if n := log.count("rate_key=voice_call "); n == 0 {
			t.Errorf("the key is another: %q", log.lines)
		}
	})
}

type provider struct {
	Host string `json:"host"`
}

func (p *provider) RateKey() string { return p.Host }

type keyed struct{ down, up *line }

func (k keyed) Handle(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	if k.RateKey(a.Node) == "down" {
		return k.down.handle(ctx, a)
	}
	return k.up.handle(ctx, a)
}

func (k keyed) RateKey(n workflow.Node) string {
	if n.Label == "down" {
		return "down"
	}
	return "up"
}

// Who is being removed does not wait until something works again.
func TestARemovalDoesNotWaitForWhatIsNotMade(t *testing.T) {
	for _, failures := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			tries := 0
			w.config.Handlers["voice_call"] = engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) {
				if tries++; tries <= failures {
					return engine.Result{}, errors.New("busy")
				}
				return engine.Result{}, engine.NotMade(errors.New("no route to host"))
			})
			w.crash()
			wf := w.callOnce(func(n workflow.Node) workflow.Node {
				return n.WithRetry(workflow.Retry{MaxAttempts: 3, Delay: workflow.Duration(time.Minute)})
			})
			l := w.enroll(wf, "+14155552671")
			w.pass(time.Hour)
			w.expectState(l, lead.InStep)
			w.remove(l)
			w.expectState(l, lead.Removed)
			step := w.history(l)[0]
			last := step.Attempts[len(step.Attempts)-1]
			if step.Outcome != "failed" || step.Error != "no route to host" || last.Status != lead.StepCancelled || last.Error != step.Error {
				t.Errorf("the step is %+v", step)
			}
			calls, _, err := w.eng.Calls(background, engine.CallFilter{LeadID: l.ID})
			if err != nil || len(calls) != failures+1 || calls[failures].Status != lead.StepCancelled {
				t.Errorf("the call log has %+v, %v", calls, err)
			}
		})
	}
}

// An earlier attempt's outcome counts as it would if the next one were queued.
func TestCallbacksWhileTheNextAttemptIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		tries := 0
		w.config.Handlers["voice_call"] = engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) {
			if tries++; tries == 2 {
				return engine.Result{}, errors.New("busy")
			}
			return engine.Result{}, engine.NotMade(errors.New("no route to host"))
		})
		w.crash()
		wf := w.callOnce(func(n workflow.Node) workflow.Node {
			return n.WithRetry(workflow.Retry{MaxAttempts: 3, Delay: workflow.Duration(time.Minute)})
		})
		l := w.enroll(wf, "+14155552671")
		synctest.Wait()
		step := w.history(l)[0].ID
		if _, err := w.eng.CompleteStep(background, step, engine.Callback{Outcome: "completed"}); !errors.Is(err, lead.ErrStepNotStarted) {
			t.Errorf("a callback before anything was done: %v", err)
		}
		w.pass(time.Hour)
		w.complete(l, "completed")
		synctest.Wait()
		w.expectState(l, lead.Completed)
		calls, _, err := w.eng.Calls(background, engine.CallFilter{LeadID: l.ID})
		if err != nil || len(calls) != 2 || calls[0].Outcome != "completed" || calls[1].Status != lead.StepCancelled {
			t.Errorf("the call log has %+v, %v", calls, err)
		}
	})
}

// What is not made survives the process, and so does its number.
func TestWhatIsNotMadeIsMadeAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		out := &line{down: true}
		w.config.Handlers["voice_call"] = engine.HandlerFunc(out.handle)
		w.crash()
		l := w.enroll(w.callOnce(), "+14155552671")
		w.pass(time.Hour)
		w.crash()
		out.set(false)
		w.pass(2 * time.Minute)
		w.expectState(l, lead.Completed)
		if want := w.history(l)[0].ID.String() + "/1"; len(out.calls) != 1 || out.calls[0] != want {
			t.Errorf("called %v, want %s", out.calls, want)
		}
	})
}

// An attempt during which the process ends again and again is not made for ever.
func TestAPoisonousAttemptIsParked(t *testing.T) {
	for _, end := range []string{"timeout", "callback", "failing callback", "removal", "pause and removal"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logged
				stuck := func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
					<-ctx.Done()
					return engine.Result{}, ctx.Err()
				}
				w := newWorld(t, stuck)
				w.config.MaxRedeliveries = 2
				w.config.Logger = slog.New(slog.NewTextHandler(&log, nil))
				w.crash()
				wf := w.callOnce(func(n workflow.Node) workflow.Node {
					return n.WithRetry(workflow.Retry{MaxAttempts: 3, Delay: workflow.Duration(time.Minute)})
				})
				l := w.enroll(wf, "+14155552671")
				synctest.Wait()
				for i := 1; i <= 5; i++ {
					w.crash()
					synctest.Wait()
					if got, want := len(w.seen()), 1+min(i, 2); got != want {
						t.Fatalf("called %d times after %d crashes, want %d", got, i, want)
					}
				}
				w.expectState(l, lead.InStep)
				if n := log.count("is parked"); n != 1 {
					t.Errorf("%d lines say so", n)
				}
				if c, err := w.eng.Census(background); err != nil || len(c.Workflows[wf].Stalled) != 1 || c.Workflows[wf].Stalled[0].ID != l.ID {
					t.Errorf("the census has %+v, %v", c.Workflows[wf], err)
				}
				step := w.history(l)[0]
				if !strings.Contains(step.Attempts[0].Error, "ended 3 times") {
					t.Errorf("the attempt is %+v", step.Attempts[0])
				}
				w.mu.Lock()
				w.handle = nil
				w.mu.Unlock()
				switch end {
				case "timeout":
					w.pass(time.Hour)
				case "callback":
					w.complete(l, "completed")
				case "failing callback":
					if _, err := w.eng.CompleteStep(background, step.ID, engine.Callback{Error: "no"}); err != nil {
						t.Fatal(err)
					}
					w.pass(2 * time.Minute)
				case "removal":
					w.remove(l)
				case "pause and removal":
					if _, err := w.eng.PauseWorkflow(background, wf); err != nil {
						t.Fatal(err)
					}
					w.remove(l)
				}
				synctest.Wait()
				want := lead.Completed
				if strings.HasSuffix(end, "removal") {
					want = lead.Removed
				}
				w.expectState(l, want)
				step = w.history(l)[0]
				if parked := strings.Contains(step.Error, "ended 3 times"); parked != (end == "timeout" || want == lead.Removed) {
					t.Errorf("the step is %+v", step)
				}
			})
		})
	}
}

// A lead that cannot be read is not one that ends processes.
func TestRedeliveriesCountCallsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.config.MaxRedeliveries = 1
		h := func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			if !a.Redelivered {
				<-ctx.Done()
				return engine.Result{}, ctx.Err()
			}
			return engine.Result{}, nil
		}
		w.mu.Lock()
		w.handle = h
		w.mu.Unlock()
		l := w.enroll(w.callOnce(), "+14155552671")
		synctest.Wait()
		w.crash()
		synctest.Wait() // the attempt is made again, and done
		w.expectState(l, lead.Completed)

		second := w.enroll(l.WorkflowID, "+14155552672")
		synctest.Wait()
		over, cancel := context.WithCancel(background)
		cancel()
		if err := w.eng.Shutdown(over); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		s := faulty.New(w.store)
		s.Inject(faulty.Fault{Method: faulty.Contacts, Times: 20, Err: errDisk})
		var err error
		if w.eng, err = engine.New(s, w.config); err != nil {
			t.Fatal(err)
		}
		if err := w.eng.Start(background); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		if s.Count(faulty.Contacts) <= 20 {
			t.Errorf("the contact was read %d times", s.Count(faulty.Contacts))
		}
		w.expectState(second, lead.Completed)
	})
}

// Whoever waits for a rate key alone is due when that may be tried again.
func TestASteppedEngineIsDueWhenARateKeyMayBeTriedAgain(t *testing.T) {
	down := true
	s := newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) {
		if down {
			return engine.Result{}, engine.NotMade(errors.New("no route"))
		}
		return engine.Result{}, nil
	}, nil)
	wf := s.activate([]workflow.Node{workflow.CallNode("call", nil), workflow.End("won", workflow.Converted)}, []workflow.Edge{workflow.On("call", "default", "won")})
	first := s.enroll(wf, phone)
	s.settle(10 * time.Second)
	if _, err := s.Remove(background, wf, first.ID, engine.SkipRetries()); err != nil {
		t.Fatal(err)
	}
	down = false
	second := s.enroll(wf, otherPhone)
	s.settle(0)
	s.expect(second, "enrolled: call=waiting")
	next, due := s.Next()
	if !due {
		t.Fatal("nothing is due, and a lead waits")
	}
	s.settle(next.Sub(s.clock.Now()))
	s.expect(second, "completed: call=completed won=converted")
}
