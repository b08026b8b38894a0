package life

import (
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// tales are lives whose records must be accepted.
var tales = map[string]func(s *story){
	"waits": func(s *story) {},
	"runs":  func(s *story) { s.begin() },
	"called back early": func(s *story) {
		s.begin()
		s.w.Complete(s.l, s.l.At, Callback{Outcome: "dnp", CallID: "c", Data: []byte(`{}`)})
	},
	"awaits":  func(s *story) { s.begin(); s.answer(Answer{InFlight: true, CallID: "c"}) },
	"retries": func(s *story) { s.begin(); s.pass(time.Minute); s.answer(Answer{Err: "busy", After: time.Hour}) },
	"second attempt": func(s *story) {
		s.begin()
		s.fail()
		s.pass(storyDelay + time.Second)
		s.begin()
		s.w.Crash()
		s.begin()
		s.pass(time.Second)
		s.answer(Answer{Outcome: "dnp"})
	},
	"hooks": func(s *story) { s.w.Hooks = []string{"hook"}; s.begin(); s.answer(Answer{}) },
	"hooks have run": func(s *story) {
		s.w.Hooks = []string{"hook"}
		s.begin()
		s.answer(Answer{})
		s.pass(time.Second)
		s.hook("no such customer")
	},
	"messages": func(s *story) {
		s.begin()
		s.answer(Answer{InFlight: true, Schedule: []Message{{After: storyWait}, {After: time.Hour, Data: []byte(`"b"`)}}})
		s.pass(time.Minute)
		s.w.Complete(s.l, s.l.At, Callback{})
		s.pass(storyWait)
		s.begin()
		s.pass(time.Minute)
		s.answer(Answer{})
	},
	"called back with a failure": func(s *story) {
		s.begin()
		s.answer(Answer{InFlight: true, CallID: "c"})
		s.pass(time.Minute)
		s.w.Complete(s.l, s.l.At, Callback{Err: "busy", After: time.Hour, CallID: "d"})
	},
	"called back after a failure": func(s *story) {
		s.begin()
		s.answer(Answer{InFlight: true, CallID: "c"})
		s.w.Complete(s.l, s.l.At, Callback{Err: "busy"})
		s.pass(time.Minute)
		s.w.Complete(s.l, s.l.At, Callback{Outcome: "dnp"})
	},
	"asks": func(s *story) {
		s.w.Asks = true
		s.l, _ = s.w.Enroll(s.f, lead.Contact{PhoneNumber: "+14155552672", Metadata: map[string]any{"vip": true}})
	},
	"has asked": func(s *story) {
		s.w.Asks = true
		s.l, _ = s.w.Enroll(s.f, lead.Contact{PhoneNumber: "+14155552672", Metadata: map[string]any{"vip": true}})
		s.w.Now = s.w.Now.Add(time.Second)
		s.w.Pass()
	},
	"ends": func(s *story) { s.begin(); s.answer(Answer{}); s.pass(storyWait); s.begin(); s.answer(Answer{}) },
	"removed while it runs": func(s *story) {
		s.begin()
		s.remove(false)
		s.pass(time.Minute)
		s.fail()
		s.pass(storyDelay)
		s.begin()
		s.answer(Answer{})
	},
	"removed without retries": func(s *story) { s.begin(); s.fail(); s.remove(true) },
	"removed while paused":    func(s *story) { s.begin(); s.fail(); s.pass(time.Minute); s.w.Pause(s.f); s.remove(false) },
	"sent to while paused": func(s *story) {
		s.begin()
		s.answer(Answer{Schedule: []Message{{After: storyWait - time.Minute}}})
		s.pass(storyWait - time.Minute)
		s.begin()
		s.w.Pause(s.f)
		s.pass(2 * time.Minute)
		s.answer(Answer{})
	},
	"removed in the moment": func(s *story) { s.begin(); s.answer(Answer{}); s.remove(false) },
}

func TestReplayKnowsALife(t *testing.T) {
	for name, tell := range tales {
		s := newStory(t)
		tell(s)
		for _, braked := range []bool{false, true} {
			_, err := Replay(s.f, Record{Lead: s.w.View(s.l), Steps: s.w.History(s.l), Braked: braked})
			if want := braked || !strings.HasSuffix(name, "while paused"); (err == nil) != want {
				t.Errorf("%s (braked: %t): %v", name, braked, err)
			}
		}
	}
}

// The record has the metadata as it is now, and what it was at a condition nobody
// knows.
func TestReplayKnowsTheLifeOfALeadThatWasUpdated(t *testing.T) {
	s := newStory(t)
	tales["ends"](s)
	r := Record{Lead: s.w.View(s.l), Steps: s.w.History(s.l)}
	r.Lead.Metadata = nil
	for _, r.Updated = range []bool{false, true} {
		if _, err := Replay(s.f, r); (err == nil) != r.Updated {
			t.Errorf("updated: %t: %v", r.Updated, err)
		}
	}
	r.Steps[0].Outcome = "false" // whatever it was, it did not lead on then
	if _, err := Replay(s.f, r); err == nil {
		t.Error("a condition that came to another outcome than its lead followed")
	}
}

func TestReplayRefusesWhatNoLifeIs(t *testing.T) {
	second := time.Second
	for name, c := range map[string]struct {
		tale  string
		forge func(r *Record)
	}{
		"a retry too early":           {"second attempt", func(r *Record) { move(&r.Steps[1].Attempts[1].StartedAt, -2*second) }},
		"a retry too many":            {"second attempt", func(r *Record) { again(&r.Steps[1]) }},
		"a wait too short":            {"ends", func(r *Record) { move(&r.Steps[2].ExitedAt, -second) }},
		"an outcome that is another":  {"ends", func(r *Record) { r.Steps[1].Outcome = "dnp" }},
		"a step left out":             {"ends", func(r *Record) { r.Steps = append(r.Steps[:2:2], r.Steps[3:]...) }},
		"a condition that is another": {"ends", func(r *Record) { r.Lead.Metadata = nil }},
		"a step after removal":        {"removed while it runs", func(r *Record) { move(&r.Lead.Removal.RequestedAt, -second) }},
		"a retry after it, not to be": {"removed while it runs", func(r *Record) { r.Lead.Removal.SkipRetries = true }},
		"a message left behind":       {"ends", func(r *Record) { left(r) }},
		"a lead that is not final":    {"ends", func(r *Record) { r.Lead.State = lead.Enrolled }},
		"a due time that is another":  {"waits", func(r *Record) { move(&r.Lead.NextActionAt, second) }},
		"a deadline that is another":  {"awaits", func(r *Record) { move(&r.Lead.NextActionAt, second) }},
		"a queued retry too early":    {"retries", func(r *Record) { move(&r.Steps[1].Attempts[1].DueAt, -50*time.Minute) }},
		"a message too early":         {"messages", func(r *Record) { move(&r.Steps[2].ScheduledAt, time.Hour) }},
		"removed before it was":       {"removed without retries", func(r *Record) { move(&r.Lead.Removal.RemovedAt, -second) }},
		"removed before it ended":     {"removed while it runs", func(r *Record) { r.Lead.Removal.RemovedAt = storyBegin }},
		"a retry that nobody braked":  {"removed while paused", func(r *Record) {}},
		"a removal of nothing":        {"removed without retries", func(r *Record) { r.Lead.Removal = nil }},
	} {
		s := newStory(t)
		tales[c.tale](s)
		r := Record{Lead: s.w.View(s.l), Steps: s.w.History(s.l)}
		for i := range r.Steps {
			r.Steps[i].Attempts = append([]lead.Attempt(nil), r.Steps[i].Attempts...)
		}
		if c.forge(&r); r.Steps == nil {
			t.Fatalf("%s: nothing is left", name)
		}
		if _, err := Replay(s.f, r); err == nil || !strings.Contains(err.Error(), "as far as") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func move(at *time.Time, d time.Duration) { *at = at.Add(d) }

func again(s *lead.Step) {
	last := s.Attempts[len(s.Attempts)-1]
	s.Attempts[len(s.Attempts)-1].Status = lead.StepFailed
	last.Number++
	last.StartedAt, last.EndedAt = last.StartedAt.Add(time.Hour), last.EndedAt.Add(time.Hour)
	s.ExitedAt = last.EndedAt
	s.Attempts = append(s.Attempts, last)
}

func left(r *Record) {
	r.Steps = append(r.Steps[:2:2], append([]lead.Step{{
		NodeID: "call", NodeType: "message", Scheduled: true, Status: lead.StepWaiting, EnteredAt: storyBegin, ScheduledAt: storyBegin.Add(9 * time.Hour),
	}}, r.Steps[2:]...)...)
}
