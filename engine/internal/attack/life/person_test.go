package life

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// newPersonStory is a story in another workflow: a call with two attempts, a wait for a
// signal, a split and a message.
func newPersonStory(t *testing.T, change func(d *workflow.Definition)) *story {
	t.Helper()
	d := &workflow.Definition{
		Name: "person", Entry: "call", Exits: []workflow.Exit{{Signal: "paid", Outcome: "converted"}},
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil).WithTimeout(storyTimeout).
				WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(storyDelay)}),
			workflow.WaitSignal("wait", "replied", storyWait),
			workflow.SplitNode("deal", map[string]float64{"a": 1, "b": 1}),
			workflow.MessageNode("text", nil),
			workflow.End("done", workflow.Converted), workflow.End("gone", workflow.Dropped),
		},
		Edges: []workflow.Edge{
			workflow.On("call", "completed", "wait"), workflow.On("call", "suppressed", "text"),
			workflow.On("wait", "signal", "done"), workflow.On("wait", "timeout", "deal"),
			workflow.On("deal", "a", "text"), workflow.On("deal", "b", "gone"), workflow.On("text", "success", "done"),
		},
	}
	if change != nil {
		change(d)
	}
	f, err := NewFlow(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t, f: f, w: &World{Now: storyBegin, Flows: []*Flow{f}, Deal: func(*Lead, *Node) string { return "a" }}}
	if err := s.w.Activate(f); err != nil {
		t.Fatal(err)
	}
	s.l, _ = s.w.Enroll(f, lead.Contact{PhoneNumber: "+14155552671", ExternalID: "crm-7"})
	return s
}

func (s *story) hold(until time.Duration) {
	s.t.Helper()
	how := lead.Hold{}
	if until > 0 {
		how.Until = s.w.Now.Add(until)
	}
	if err := s.w.Hold(s.l, how); err != nil {
		s.t.Fatal(err)
	}
}

func (s *story) release() {
	s.t.Helper()
	if err := s.w.Release(s.l); err != nil {
		s.t.Fatal(err)
	}
}

func (s *story) suppress(by Suppression) *Suppression {
	if by.PhoneNumber+by.ExternalID == "" {
		by.PhoneNumber = s.l.Contact.PhoneNumber
	}
	is, _, _, _ := s.w.Suppress(by, false)
	return is
}

func (s *story) signal(name string, want Effect) {
	s.t.Helper()
	if got, err := s.w.Signal(s.l, name, []byte(`{}`)); err != nil || got != want {
		s.t.Errorf("the signal %s is answered %s, %v; want %s", name, got, err, want)
	}
}

func TestHoldsSuppressionsAndSignals(t *testing.T) {
	waits := func(s *story) { s.begin(); s.answer(Answer{}) }
	retry := func(s *story) { s.begin(); s.fail() }
	calls := func(s *story) { s.suppress(Suppression{Channel: workflow.VoiceCall}) }
	texts := func(s *story) { s.suppress(Suppression{Channel: workflow.Message}) }
	for _, tt := range []struct {
		name string
		play []func(s *story)
		want string
		may  bool // an attempt may begin
	}{
		{"a held lead begins nothing", []func(*story){func(s *story) { s.hold(0) }}, "enrolled: call=waiting", false},
		{"until it is released", []func(*story){func(s *story) { s.hold(0) }, (*story).release}, "enrolled: call=waiting", true},
		{"or its hold is over", []func(*story){func(s *story) { s.hold(time.Hour); s.pass(time.Hour) }}, "enrolled: call=waiting", true},
		{"and not before", []func(*story){func(s *story) { s.hold(time.Hour); s.pass(time.Hour - time.Millisecond) }}, "enrolled: call=waiting", false},
		{"its queued retry waits", []func(*story){retry, func(s *story) { s.hold(0); s.pass(time.Hour) }}, "in_step: call=retrying,failed,waiting", false},
		{"and is dropped by a removal", []func(*story){retry, func(s *story) { s.hold(0); s.remove(false) }}, "removed: call=failed,failed,cancelled", false},
		{"its wait has the time that was left", []func(*story){waits, func(s *story) {
			s.pass(storyWait / 2)
			s.hold(0)
			s.pass(10 * storyWait)
			s.release()
			s.pass(storyWait/2 - time.Millisecond)
		}}, "enrolled: call=completed,completed wait=waiting", false},
		{"and then goes on", []func(*story){waits, func(s *story) {
			s.pass(storyWait / 2)
			s.hold(0)
			s.pass(10 * storyWait)
			s.release()
			s.pass(storyWait / 2)
		}}, "enrolled: call=completed,completed wait=timeout deal=a text=waiting", true},
		{"what runs while it is held finishes", []func(*story){func(s *story) { s.begin(); s.hold(0); s.answer(Answer{}); s.pass(9 * storyWait) }},
			"enrolled: call=completed,completed wait=waiting", false},

		{"a suppression removes", []func(*story){func(s *story) { s.suppress(Suppression{}) }}, "removed: call=cancelled", false},
		{"by the id too", []func(*story){func(s *story) { s.suppress(Suppression{ExternalID: "crm-7"}) }}, "removed: call=cancelled", false},
		{"nobody else", []func(*story){func(s *story) { s.suppress(Suppression{ExternalID: "crm-8"}) }}, "enrolled: call=waiting", true},
		{"nobody of another workflow", []func(*story){func(s *story) { s.suppress(Suppression{Flow: &Flow{}}) }}, "enrolled: call=waiting", true},
		{"and drops a retry", []func(*story){retry, func(s *story) { s.suppress(Suppression{}) }}, "removed: call=failed,failed,cancelled", false},
		{"that of a channel goes round its steps", []func(*story){calls}, "enrolled: call=suppressed text=waiting", true},
		{"a retry of that channel is dropped", []func(*story){retry, calls}, "enrolled: call=suppressed,failed,cancelled text=waiting", true},
		{"and one that would follow", []func(*story){func(s *story) { s.begin() }, calls, (*story).fail}, "enrolled: call=suppressed,failed text=waiting", true},
		{"what runs may succeed", []func(*story){func(s *story) { s.begin() }, calls, func(s *story) { s.answer(Answer{}) }}, "enrolled: call=completed,completed wait=waiting", false},
		{"without a way round the lead is removed", []func(*story){calls, texts}, "removed: call=suppressed text=cancelled", false},
		{"not while it is held", []func(*story){func(s *story) { s.hold(0) }, calls}, "enrolled: call=waiting", false},
		{"not when it was lifted", []func(*story){func(s *story) {
			s.hold(0)
			s.w.Lift(s.suppress(Suppression{Channel: workflow.VoiceCall}), "", "")
			s.release()
		}}, "enrolled: call=waiting", true},
		{"nor when it has expired", []func(*story){func(s *story) {
			s.hold(0)
			s.suppress(Suppression{Channel: workflow.VoiceCall, Expires: s.w.Now.Add(time.Hour)})
			s.pass(time.Hour)
			s.release()
		}}, "enrolled: call=waiting", true},

		{"a signal wakes", []func(*story){waits, func(s *story) { s.signal("replied", Woken) }}, "completed: call=completed,completed wait=signal done=converted", false},
		{"another does not", []func(*story){waits, func(s *story) { s.signal("moved", Ignored) }}, "enrolled: call=completed,completed wait=waiting", false},
		{"it is kept during the step before", []func(*story){func(s *story) { s.begin(); s.signal("replied", Kept) }, func(s *story) { s.w.Crash(); s.begin(); s.answer(Answer{}) }},
			"completed: call=completed,completed wait=signal done=converted", false},
		{"it does not wait before the step", []func(*story){func(s *story) { s.signal("replied", Ignored) }, waits}, "enrolled: call=completed,completed wait=waiting", false},
		{"an exit", []func(*story){waits, func(s *story) { s.signal("paid", Exits) }}, "completed: call=completed,completed wait=cancelled", false},
		{"after the step in flight", []func(*story){retry, func(s *story) { s.signal("paid", Exits); s.pass(storyDelay); s.begin(); s.answer(Answer{}) }},
			"completed: call=completed,failed,completed", false},
		{"unless it is removed", []func(*story){func(s *story) {
			s.begin()
			s.signal("paid", Exits)
			s.remove(false)
			s.signal("paid", Ignored)
			s.answer(Answer{})
		}},
			"removed: call=completed,completed wait=cancelled", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newPersonStory(t, nil)
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

func TestRefusalsOfHoldsAndSuppressions(t *testing.T) {
	s := newPersonStory(t, nil)
	s.begin()
	if err := s.w.Release(s.l); !errors.Is(err, lead.ErrNotHeld) {
		t.Errorf("releasing a lead that is not held: %v", err)
	}
	s.remove(false)
	if err := s.w.Hold(s.l, lead.Hold{}); !errors.Is(err, lead.ErrRemovalPending) {
		t.Errorf("holding a lead whose removal is pending: %v", err)
	}
	s.answer(Answer{})
	if err := s.w.Hold(s.l, lead.Hold{}); !errors.Is(err, lead.ErrLeadFinal) {
		t.Errorf("holding a lead that is removed: %v", err)
	}
	by := s.suppress(Suppression{Expires: s.w.Now.Add(time.Hour)})
	if !s.w.Suppressed(s.f, s.l.Contact) || s.w.Suppressed(s.f, lead.Contact{PhoneNumber: "+14155552672"}) {
		t.Error("who is suppressed can be enrolled, or somebody else cannot")
	}
	s.pass(time.Hour)
	if err := s.w.Lift(by, "", ""); s.w.Suppressed(s.f, s.l.Contact) || !errors.Is(err, lead.ErrNotActive) {
		t.Errorf("a suppression that has expired still holds, or is lifted: %v", err)
	}
	_, fresh, also, _ := s.w.Suppress(Suppression{PhoneNumber: s.l.Contact.PhoneNumber}, true)
	if !fresh || len(also) != 1 || also[0].ExternalID != "crm-7" {
		t.Errorf("linked takes in %v", also)
	}
	if _, fresh, _, _ := s.w.Suppress(Suppression{PhoneNumber: s.l.Contact.PhoneNumber}, false); fresh {
		t.Error("the same again is another suppression")
	}
}

func TestCallingHoursAndLimits(t *testing.T) {
	hours := func(d *workflow.Definition) { // storyBegin is a Monday, 09:00
		d.CallingHours = &workflow.CallingHours{Windows: []workflow.Window{{Days: []workflow.Day{"mon", "wed"}, From: "09:00", To: "09:30"}}}
	}
	limit := func(l workflow.Limit) func(d *workflow.Definition) {
		return func(d *workflow.Definition) { d.Limits = []workflow.Limit{l} }
	}
	twice := func(s *story) { s.begin(); s.fail(); s.pass(storyDelay) }
	another := func(s *story) {
		s.begin()
		s.l, _ = s.w.Enroll(s.f, lead.Contact{PhoneNumber: "+14155552672"})
	}
	day := 24 * time.Hour
	for _, tt := range []struct {
		name   string
		change func(d *workflow.Definition)
		play   func(s *story)
		next   time.Duration // until an attempt may begin; -1 when no time is given
	}{
		{"open", hours, func(s *story) {}, 0},
		{"closed for the retry", hours, twice, 2*day - storyDelay},
		{"a place is free", limit(workflow.Limit{InFlight: 2}), another, 0},
		{"none is", limit(workflow.Limit{InFlight: 1}), another, -1},
		{"of another channel", limit(workflow.Limit{InFlight: 1, Channel: workflow.Message}), another, 0},
		{"a queued retry holds none", limit(workflow.Limit{InFlight: 1}), func(s *story) { first := s.l; another(s); s.w.Answered(first, Answer{Err: "busy"}) }, 0},
		{"a lost attempt keeps its own", limit(workflow.Limit{InFlight: 1}), func(s *story) { s.begin(); s.w.Crash() }, 0},
		{"a start", limit(workflow.Limit{Starts: 1, Per: workflow.Duration(time.Hour)}), twice, time.Hour - storyDelay + time.Millisecond},
		{"of two", limit(workflow.Limit{Starts: 2, Per: workflow.Duration(time.Hour)}), twice, 0},
		{"a delivery counts again", limit(workflow.Limit{Starts: 1, Per: workflow.Duration(time.Hour)}), func(s *story) { s.begin(); s.w.Crash() }, time.Hour + time.Millisecond},
		{"a person's", limit(workflow.Limit{PerContact: 1, Per: workflow.Duration(day)}), twice, day - storyDelay + time.Millisecond},
		{"not another's", limit(workflow.Limit{PerContact: 1, Per: workflow.Duration(day)}), another, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newPersonStory(t, tt.change)
			tt.play(s)
			r := s.w.rule(s.l)
			next := time.Duration(0)
			switch {
			case r.may != allowed && r.until.IsZero():
				next = -1
			case r.may != allowed:
				next = r.until.Sub(s.w.Now)
			}
			if next != tt.next {
				t.Errorf("an attempt may begin in %s, want %s", next, tt.next)
			}
		})
	}
}

func TestTheProviderKnows(t *testing.T) {
	s := newPersonStory(t, func(d *workflow.Definition) {
		d.Limits = []workflow.Limit{{Starts: 2, Per: workflow.Duration(time.Minute)}, {PerContact: 1, Per: workflow.Duration(time.Second)}, {InFlight: 1}}
		d.CallingHours = &workflow.CallingHours{Windows: []workflow.Window{{Days: []workflow.Day{"mon"}, From: "09:00", To: "24:00"}}}
	})
	at := func(after time.Duration, phone string) Delivery {
		return Delivery{At: storyBegin.Add(after), Flow: s.f, Node: s.f.Node("call"), Channel: workflow.VoiceCall, PhoneNumber: phone}
	}
	stop := &Suppression{PhoneNumber: "b", Channel: workflow.VoiceCall, Expires: storyBegin.Add(time.Hour)}
	for name, c := range map[string]struct {
		play    func(p *Provider) []Fault
		promise int // 0 for none
	}{
		"a call":            {func(p *Provider) []Fault { return p.Called(at(0, "a")) }, 0},
		"who is suppressed": {func(p *Provider) []Fault { p.Suppressed(stop); return p.Called(at(0, "b")) }, 13},
		"who was":           {func(p *Provider) []Fault { p.Suppressed(stop); p.Lifted(stop); return p.Called(at(0, "b")) }, 0},
		"until now":         {func(p *Provider) []Fault { p.Suppressed(stop); return p.Called(at(time.Hour, "b")) }, 0},
		"somebody else":     {func(p *Provider) []Fault { p.Suppressed(stop); return p.Called(at(0, "a")) }, 0},
		"too early":         {func(p *Provider) []Fault { return p.Called(at(-time.Millisecond, "a")) }, 14},
		"the same too soon": {func(p *Provider) []Fault { p.Called(at(0, "a")); return p.Called(at(time.Second, "a")) }, 15},
		"the same later":    {func(p *Provider) []Fault { p.Called(at(0, "a")); return p.Called(at(time.Second+1, "a")) }, 0},
		"too many in a minute": {func(p *Provider) []Fault {
			p.Called(at(0, "a"))
			p.Called(at(0, "b"))
			return p.Called(at(time.Minute, "c"))
		}, 15},
	} {
		got := c.play(&Provider{})
		if (len(got) > 0) != (c.promise > 0) || len(got) > 0 && got[0].Promise != c.promise {
			t.Errorf("%s: %v, want promise %d", name, got, c.promise)
		}
	}
	steps := []lead.Step{{NodeID: "call", Status: lead.StepInProgress}, {NodeID: "call", Status: lead.StepRetrying}}
	if f := Flying(s.f, steps); len(f) > 0 {
		t.Error(f)
	}
	if f := Flying(s.f, append(steps, steps[0])); len(f) != 1 || f[0].Promise != 15 {
		t.Errorf("two in flight of one that is allowed: %v", f)
	}
	var w Witness
	w.Held(time.Time{}, Attempt{})
	if f := w.Called(Call{Attempt: Attempt{lead.StepID{1}, 1}}); len(f) != 1 || f[0].Promise != 17 {
		t.Errorf("a call for a held lead: %v", f)
	}
	w.Released()
	if f := w.Called(Call{Attempt: Attempt{lead.StepID{1}, 2}, Key: "2"}); len(f) > 0 {
		t.Error(f)
	}
}

// Whatever a life has is in its key, and a clone shares none of it.
func TestACloneHasTheHoldsAndLimitsToo(t *testing.T) {
	s := newPersonStory(t, func(d *workflow.Definition) {
		d.Nodes[0] = d.Nodes[0].WithLimits(workflow.Limit{Starts: 5, Per: workflow.Duration(time.Hour)})
	})
	c := s.w.Clone()
	l, before := c.Leads[0], s.w.Key()
	var keys []string
	for i, change := range []func(){
		func() {},
		func() { c.Hold(l, lead.Hold{}) },
		func() { c.Hold(l, lead.Hold{Until: c.Now.Add(time.Hour)}) },
		func() { c.Release(l) },
		func() { c.Begin(l, c.Now) },
		func() { c.Signal(l, "replied", nil) },
		func() { c.Signal(l, "paid", nil) },
		func() { c.Suppress(Suppression{PhoneNumber: "+14155552672"}, false) },
		func() { c.Suppressions[0].Lifted = c.Now },
		func() { c.Crash(); c.Begin(l, c.Now) },
	} {
		change()
		key := c.Key()
		if back := slices.Index(keys, key); back >= 0 && !(i == 3 && back == 0) {
			t.Errorf("change %d does not show in\n%s", i, key)
		}
		keys = append(keys, key)
		if s.w.Key() != before {
			t.Fatalf("change %d of the clone has changed the world to\n%s", i, s.w.Key())
		}
	}
	if !strings.Contains(c.Key(), "suppressed") {
		t.Error(c.Key())
	}
}
