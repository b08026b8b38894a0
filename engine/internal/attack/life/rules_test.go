package life

import (
	"errors"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

func TestALeadGoesThroughItsWorkflow(t *testing.T) {
	s := newStory(t)
	s.expect("enrolled: vip=true call=waiting")
	s.begin()
	s.expect("in_step: vip=true call=in_progress,in_progress")
	s.answer(Answer{})
	s.expect("enrolled: vip=true call=completed,completed wait=waiting")
	s.pass(storyWait - time.Millisecond)
	s.expect("enrolled: vip=true call=completed,completed wait=waiting")
	s.pass(time.Millisecond)
	s.begin()
	s.answer(Answer{Outcome: "read"})
	s.expect("completed: vip=true call=completed,completed wait=completed text=read,completed done=converted")
}

func TestAttempts(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(s *story)
		want string
	}{
		{"the next one is queued", func(s *story) { s.fail() }, "in_step: vip=true call=retrying,failed,waiting"},
		{"and made in time", func(s *story) { s.fail(); s.pass(storyDelay); s.begin() }, "in_step: vip=true call=in_progress,failed,in_progress"},
		{"the last one ends the step", func(s *story) { s.fail(); s.pass(storyDelay); s.begin(); s.fail() }, "completed: vip=true call=failed,failed,failed"},
		{"one that is final ends it too", func(s *story) { s.answer(Answer{Err: "busy", Final: true}) }, "completed: vip=true call=failed,failed"},
		{"and so does the deadline", func(s *story) { s.pass(storyTimeout) }, "completed: vip=true call=failed,failed"},
		{"a callback is awaited until then", func(s *story) { s.answer(Answer{InFlight: true}); s.pass(storyTimeout) }, "completed: vip=true call=failed,failed"},
		{"a handler that is late changes nothing", func(s *story) { s.pass(storyTimeout); s.answer(Answer{}) }, "completed: vip=true call=failed,failed"},
		{"a crash loses none", func(s *story) { s.w.Crash(); s.begin() }, "in_step: vip=true call=in_progress,in_progress"},
		{"but its step fails, without a retry, where the node says so", func(s *story) { s.f.Node("call").FailsUnknown = true; s.w.Crash(); s.w.Pass() }, "completed: vip=true call=failed,failed"},
		{"nor one that is queued", func(s *story) { s.fail(); s.w.Crash(); s.pass(storyDelay); s.begin() }, "in_step: vip=true call=in_progress,failed,in_progress"},
		{"an outcome without an edge", func(s *story) { s.answer(Answer{Outcome: "odd"}) }, "completed: vip=true call=odd,completed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			s.begin()
			tt.play(s)
			s.expect(tt.want)
		})
	}
	s := newStory(t)
	s.begin()
	s.answer(Answer{Err: "busy", After: time.Hour})
	if s.pass(storyDelay); s.w.MayBegin(s.l, s.w.Now) {
		t.Error("the wait that the handler asked for is ignored")
	}
}

// How removal changes a lead, by what is in flight.
func TestRemoval(t *testing.T) {
	for _, tt := range []struct {
		name        string
		play        func(s *story)
		plain, skip string
		then        func(s *story)
		end         string // after a plain removal
	}{
		{"a lead that waits", func(s *story) {}, "removed: vip=true call=cancelled", "removed: vip=true call=cancelled",
			func(s *story) {}, "removed: vip=true call=cancelled"},
		{"a handler runs", func(s *story) { s.begin() },
			"pending_removal: vip=true call=in_progress,in_progress", "pending_removal: vip=true call=in_progress,in_progress",
			func(s *story) { s.answer(Answer{}) }, "removed: vip=true call=completed,completed wait=cancelled"},
		{"a handler that will fail", func(s *story) { s.begin() },
			"pending_removal: vip=true call=in_progress,in_progress", "pending_removal: vip=true call=in_progress,in_progress",
			func(s *story) { s.fail() }, "pending_removal: vip=true call=retrying,failed,waiting"},
		{"a callback is awaited", func(s *story) { s.begin(); s.answer(Answer{InFlight: true}) },
			"pending_removal: vip=true call=in_progress,in_progress", "pending_removal: vip=true call=in_progress,in_progress",
			func(s *story) { s.pass(storyTimeout) }, "removed: vip=true call=failed,failed"},
		{"a retry is queued", func(s *story) { s.begin(); s.fail() },
			"pending_removal: vip=true call=retrying,failed,waiting", "removed: vip=true call=failed,failed,cancelled",
			func(s *story) { s.pass(storyDelay); s.begin(); s.answer(Answer{Outcome: "dnp"}) }, "removed: vip=true call=dnp,failed,completed gone=cancelled"},
		{"a message is scheduled", func(s *story) { s.begin(); s.answer(Answer{Schedule: []Message{{After: time.Hour}}}) },
			"removed: vip=true call=completed,completed call+message=cancelled wait=cancelled", "removed: vip=true call=completed,completed call+message=cancelled wait=cancelled",
			func(s *story) {}, "removed: vip=true call=completed,completed call+message=cancelled wait=cancelled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for skip, want := range map[bool]string{false: tt.plain, true: tt.skip} {
				s := newStory(t)
				tt.play(s)
				s.remove(skip)
				s.expect(want)
				if skip {
					continue
				}
				tt.then(s)
				s.expect(tt.end)
				if err := s.w.Remove(s.l, lead.Removal{}); s.l.State.Final() && !errors.Is(err, lead.ErrLeadFinal) {
					t.Errorf("removal of a lead that is %s: %v", s.l.State, err)
				}
			}
		})
	}
	s := newStory(t)
	s.begin()
	s.remove(true)
	s.w.Crash()
	if s.w.MayBegin(s.l, s.w.Now) {
		t.Error("an attempt that a crash interrupted is made again although no further one is to be made")
	}
	s.w.Pass()
	s.expect("removed: vip=true call=failed,failed")
}

func TestCallbacks(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(s *story)
		c    Callback
		err  error
		want string
	}{
		{"before it began", func(s *story) {}, Callback{}, lead.ErrStepNotStarted, "enrolled: vip=true call=waiting"},
		{"faster than the handler", func(s *story) { s.begin() }, Callback{Outcome: "dnp"}, nil, "in_step: vip=true call=dnp,in_progress"},
		{"awaited", func(s *story) { s.begin(); s.answer(Answer{InFlight: true}) }, Callback{Outcome: "dnp"}, nil,
			"completed: vip=true call=dnp,completed gone=dropped"},
		{"of another attempt", func(s *story) { s.begin() }, Callback{Attempt: 2}, lead.ErrOtherAttempt, "in_step: vip=true call=in_progress,in_progress"},
		{"for an attempt that failed", func(s *story) { s.begin(); s.fail() }, Callback{}, nil, "enrolled: vip=true call=completed,completed wait=waiting"},
		{"of a failure", func(s *story) { s.begin(); s.answer(Answer{InFlight: true}) }, Callback{Err: "busy"}, nil,
			"in_step: vip=true call=retrying,failed,waiting"},
		{"of a final one", func(s *story) { s.begin(); s.answer(Answer{InFlight: true}) }, Callback{Err: "busy", Final: true}, nil,
			"completed: vip=true call=failed,failed"},
		{"of one that is known", func(s *story) { s.begin(); s.fail() }, Callback{Err: "busy"}, nil, "in_step: vip=true call=retrying,failed,waiting"},
		{"of one after the outcome", func(s *story) { s.begin(); s.answer(Answer{}) }, Callback{Err: "busy"}, lead.ErrStepFinished,
			"enrolled: vip=true call=completed,completed wait=waiting"},
		{"of a failure, early", func(s *story) { s.begin() }, Callback{Err: "busy"}, nil, "in_step: vip=true call=in_progress,in_progress"},
		{"again", func(s *story) { s.begin(); s.answer(Answer{}) }, Callback{Outcome: "completed"}, nil, "enrolled: vip=true call=completed,completed wait=waiting"},
		{"another", func(s *story) { s.begin(); s.answer(Answer{}) }, Callback{Outcome: "dnp"}, lead.ErrStepFinished,
			"enrolled: vip=true call=completed,completed wait=waiting"},
		{"of a lead that is gone", func(s *story) { s.remove(false) }, Callback{}, lead.ErrStepFinished, "removed: vip=true call=cancelled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			tt.play(s)
			if err := s.w.Complete(s.l, s.l.Steps[1], tt.c); !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("the callback is answered %v, want %v", err, tt.err)
			}
			s.expect(tt.want)
		})
	}
	s := newStory(t)
	s.begin()
	s.w.Complete(s.l, s.l.At, Callback{Outcome: "dnp"})
	s.answer(Answer{})
	s.expect("completed: vip=true call=dnp,completed gone=dropped")

	s = newStory(t)
	s.begin()
	s.w.Complete(s.l, s.l.At, Callback{Err: "busy", After: time.Hour})
	if err := s.w.Complete(s.l, s.l.At, Callback{}); !errors.Is(err, lead.ErrStepFinished) {
		t.Errorf("an outcome after a failure was reported is answered %v", err)
	}
	s.answer(Answer{})
	s.expect("in_step: vip=true call=retrying,failed,waiting")
	if due := s.w.View(s.l).NextActionAt; !due.Equal(s.w.Now.Add(time.Hour)) {
		t.Errorf("the retry is due at %s", due)
	}
}

func TestAConditionMayTakeItsTime(t *testing.T) {
	s := newStory(t)
	s.w.Asks = true
	l, _ := s.w.Enroll(s.f, lead.Contact{PhoneNumber: "+14155552672"})
	s.l = l
	s.expect("enrolled: vip=waiting")
	s.w.Pass()
	s.expect("completed: vip=false")
	l, _ = s.w.Enroll(s.f, lead.Contact{PhoneNumber: "+14155552673"})
	s.l = l
	s.remove(false)
	s.expect("removed: vip=cancelled")
}

func TestMessagesGoBesideThePath(t *testing.T) {
	s := newStory(t)
	s.begin()
	s.answer(Answer{Schedule: []Message{{After: storyWait - time.Minute}, {After: 26 * time.Hour}}})
	s.pass(storyWait - time.Minute)
	s.begin()
	s.pass(5 * time.Minute) // the wait is over meanwhile
	s.expect("in_step: vip=true call=completed,completed call+message=in_progress,in_progress call+message=waiting wait=waiting")
	s.answer(Answer{})
	s.expect("enrolled: vip=true call=completed,completed call+message=success,completed call+message=waiting wait=completed text=waiting")
	s.begin()
	s.answer(Answer{})
	s.expect("completed: vip=true call=completed,completed call+message=success,completed call+message=cancelled wait=completed text=success,completed done=converted")
}

func TestHooksHoldNothingUp(t *testing.T) {
	s := newStory(t, "first", "second")
	s.begin()
	s.answer(Answer{Outcome: "dnp"})
	s.hook("")
	s.expect("in_step: vip=true call=dnp,completed")
	s.w.Crash()
	s.hook("no such customer") // the first, again
	s.w.HookCalled(s.l)
	s.pass(time.Minute) // the second hangs
	s.expect("completed: vip=true call=dnp,completed gone=dropped")
	if got := s.l.Steps[1].HookErrors; len(got) != 2 || got[0] != "first: no such customer" || got[1] != "second: "+AnyText {
		t.Errorf("the hooks' errors are %q", got)
	}
}

func TestWorkflows(t *testing.T) {
	s := newStory(t)
	if err := s.w.Pause(s.f); err != nil || s.w.MayBegin(s.l, s.w.Now) {
		t.Errorf("Pause: %v, and a step may begin: %t", err, s.w.MayBegin(s.l, s.w.Now))
	}
	if err := s.w.Close(s.f); !errors.Is(err, lead.ErrWorkflowStatus) {
		t.Errorf("a workflow with a live lead is closed: %v", err)
	}
	if err := s.w.Resume(s.f); err != nil {
		t.Fatal(err)
	}
	s.begin()
	if err := s.w.Cancel(s.f); err != nil || !errors.Is(s.w.MayEnroll(s.f), lead.ErrWorkflowStatus) {
		t.Errorf("Cancel: %v, and then who enrolls is answered %v", err, s.w.MayEnroll(s.f))
	}
	s.w.Pass()
	s.expect("pending_removal: vip=true call=in_progress,in_progress")
	if err := s.w.Delete(s.f); !errors.Is(err, lead.ErrWorkflowStatus) {
		t.Errorf("a workflow with a step in flight is deleted: %v", err)
	}
	s.answer(Answer{Outcome: "dnp"})
	s.expect("removed: vip=true call=dnp,completed gone=cancelled")
	if err := s.w.Delete(s.f); err != nil {
		t.Error(err)
	}
}

// After pause, cancel or remove no attempt may begin.
func TestBrakes(t *testing.T) {
	retry := func(s *story) { s.begin(); s.fail() }
	lost := func(s *story) { s.begin(); s.w.Crash() }
	pause := func(s *story) { s.w.Pause(s.f) }
	cancel := func(s *story) { s.w.Cancel(s.f); s.w.Pass() }
	due := func(s *story) { s.pass(storyDelay) }
	for _, tt := range []struct {
		name string
		play []func(s *story)
		want string
		may  bool // an attempt may begin
	}{
		{"a retry is made", []func(*story){retry, due}, "in_step: vip=true call=retrying,failed,waiting", true},
		{"not while paused", []func(*story){retry, pause, due}, "in_step: vip=true call=retrying,failed,waiting", false},
		{"but when it resumes", []func(*story){retry, pause, due, func(s *story) { s.w.Resume(s.f) }}, "in_step: vip=true call=retrying,failed,waiting", true},
		{"nor what a crash interrupted", []func(*story){lost, pause}, "in_step: vip=true call=in_progress,in_progress", false},
		{"which ends at its deadline", []func(*story){lost, pause, func(s *story) { s.pass(storyTimeout) }}, "completed: vip=true call=failed,failed", false},
		{"what runs goes on", []func(*story){func(s *story) { s.begin() }, pause}, "in_step: vip=true call=in_progress,in_progress", false},
		{"and what fails then waits", []func(*story){func(s *story) { s.begin() }, pause, (*story).fail}, "in_step: vip=true call=retrying,failed,waiting", false},
		{"a removal does not wait", []func(*story){retry, pause, func(s *story) { s.remove(false) }}, "removed: vip=true call=failed,failed,cancelled", false},
		{"nor one that was pending", []func(*story){retry, func(s *story) { s.remove(false) }, pause, func(s *story) { s.w.Pass() }},
			"removed: vip=true call=failed,failed,cancelled", false},
		{"nor one of what runs", []func(*story){func(s *story) { s.begin(); s.remove(false) }, pause, (*story).fail}, "removed: vip=true call=failed,failed", false},
		{"nor of what a crash interrupted", []func(*story){lost, pause, func(s *story) { s.remove(false) }}, "removed: vip=true call=failed,failed", false},
		{"a cancel drops a retry", []func(*story){retry, cancel}, "removed: vip=true call=failed,failed,cancelled", false},
		{"and one to come", []func(*story){func(s *story) { s.begin() }, cancel, (*story).fail}, "removed: vip=true call=failed,failed", false},
		{"and what a crash interrupted", []func(*story){lost, cancel}, "removed: vip=true call=failed,failed", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			for _, f := range tt.play {
				f(s)
			}
			s.expect(tt.want)
			if may := s.w.MayBegin(s.l, s.w.Now); may != tt.may {
				t.Errorf("an attempt may begin: %t", may)
			}
		})
	}
}

func TestAClonedWorldIsAnother(t *testing.T) {
	s := newStory(t, "hook")
	s.begin()
	s.answer(Answer{Err: "busy"})
	c := s.w.Clone()
	if c.Key() != s.w.Key() {
		t.Fatalf("the clone is\n%s\nand not\n%s", c.Key(), s.w.Key())
	}
	before := s.w.Key()
	l := c.Leads[0]
	for _, change := range []func(){
		func() { c.Now = c.Now.Add(storyDelay) },
		func() { c.Begin(l, c.Now) },
		func() { c.Complete(l, l.At, Callback{Outcome: "dnp"}) },
		func() { c.Remove(l, lead.Removal{Reason: "stop"}) },
		func() { c.Remove(l, lead.Removal{SkipRetries: true}) },
		func() { c.Answered(l, Answer{}) },
		func() { c.HookCalled(l) },
		func() { c.HookAnswered(l, "failed") },
		func() { c.Cancel(c.Flows[0]) },
	} {
		key := c.Key()
		if change(); c.Key() == key {
			t.Errorf("a change does not show in\n%s", key)
		}
		if s.w.Key() != before {
			t.Fatalf("a change of the clone has changed the world to\n%s", s.w.Key())
		}
	}
}

func TestAConditionSeesAnUpdateFromTheNextDecisionOn(t *testing.T) {
	s := newStory(t)
	s.w.Asks = true
	l, _ := s.w.Enroll(s.f, lead.Contact{PhoneNumber: "+14155552674"})
	before := l.Contact.Metadata
	if err := s.w.Update(l, "vip", true); err != nil || len(before) != 0 {
		t.Errorf("%v, and what it was before is now %v", err, before)
	}
	if s.w.Pass(); l.At.NodeID != "call" {
		t.Errorf("the lead is at %s", l.At.NodeID)
	}
	if err := s.w.Update(l, "vip", nil); err != nil || len(l.Contact.Metadata) != 0 {
		t.Errorf("%v, the metadata is %v", err, l.Contact.Metadata)
	}
	if err := s.w.Remove(l, lead.Removal{}); err != nil {
		t.Fatal(err)
	}
	if err := s.w.Update(l, "vip", true); err != lead.ErrLeadFinal || len(l.Contact.Metadata) != 0 {
		t.Errorf("a removed lead: %v, %v", err, l.Contact.Metadata)
	}
}
