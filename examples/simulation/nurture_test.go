package simulation

import (
	"errors"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/lead"
)

// How calls go. A call that somebody picks up is live, and its outcome comes by
// the provider's callback.

func talk(outcome string, score int) enginetest.Answer {
	return enginetest.Outcome(outcome).With(map[string]any{"score": score}).AfterBetween(time.Minute, 9*time.Minute)
}

var (
	keen     = talk("completed", 9)
	cool     = talk("completed", 2)
	signed   = talk("signed", 10)
	no       = talk("not_now", 1)
	stop     = talk(Stop, 0)
	noAnswer = enginetest.Outcome("no_answer").Taking(30 * time.Second)
	busy     = enginetest.Fail("line busy")
)

// world returns a world with the workflow and the opt-out in it, and people who
// answer as scripted.
func world(t *testing.T, script enginetest.Script) (*enginetest.World, lead.WorkflowID) {
	t.Helper()
	var w *enginetest.World
	w = enginetest.New(t, enginetest.Config{Seed: 1, Script: script, Engine: engine.Config{
		Hooks: []engine.Hook{OnStop(func() Engine { return w.Engine() })},
	}})
	return w, w.Activate(t, Nurture())
}

// The ways through the month, each as somebody goes it.
func TestEveryWayThroughTheMonth(t *testing.T) {
	for _, c := range []struct {
		name   string
		script enginetest.Script
		path   []string
		end    string
	}{
		{
			"keen from the start",
			enginetest.Script{"welcome": keen, "follow-up": keen, "closing": signed},
			[]string{"welcome", "guide", "read", "follow-up", "keen:true", "offer", "decide", "closing:signed", "won"}, "converted",
		}, {
			"reached the next day, and needs time",
			enginetest.Script{"welcome": noAnswer, "second": keen, "follow-up": cool, "last": signed},
			[]string{"welcome:no_answer", "next-day", "second", "guide", "read", "follow-up", "keen:false", "quiet", "last:signed", "won"}, "converted",
		}, {
			"never reached",
			enginetest.Script{"welcome": busy, "second": noAnswer, "last": noAnswer},
			[]string{"welcome:failed", "next-day", "second", "sorry", "quiet", "last:no_answer", "lost"}, "dropped",
		}, {
			"does not sign",
			enginetest.Script{"welcome": keen, "follow-up": keen, "closing": no, "last": no},
			[]string{"welcome", "guide", "read", "follow-up", "keen", "offer", "decide", "closing:not_now", "quiet", "last:not_now", "lost"}, "dropped",
		}, {
			"the guide cannot be delivered",
			enginetest.Script{"welcome": keen, "guide": enginetest.Fail("bounced"), "follow-up": noAnswer, "last": no},
			[]string{"welcome", "guide:failure", "read", "follow-up:no_answer", "quiet", "last", "lost"}, "dropped",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, wf := world(t, c.script)
			id := w.Enroll(t, wf, enginetest.Contact(0))
			w.Run(t, 30*day)
			w.Path(t, id, c.path...)
			w.OutcomeIs(t, id, c.end)
			w.PromisesHold(t)
		})
	}
}

func TestABusyLineIsTriedThreeTimes(t *testing.T) {
	w, wf := world(t, enginetest.Script{"welcome": enginetest.Times(2, busy, keen)})
	id := w.Enroll(t, wf, enginetest.Contact(0))
	w.Run(t, day)
	w.Attempts(t, id, "welcome", 3)
	w.At(t, id, "read")
}

func TestStopInACallIsTheEnd(t *testing.T) {
	w, wf := world(t, enginetest.Script{"welcome": stop})
	id := w.Enroll(t, wf, enginetest.Contact(0))
	w.Run(t, 30*day)
	w.LeadIs(t, id, lead.Removed)
	w.Path(t, id, "welcome:stop")
	w.Cancelled(t, id, "next-day")
	w.PromisesHold(t)
	if got := w.Lead(t, id).Removal.Reason; got != "said stop in welcome" {
		t.Errorf("the reason is %q", got)
	}
}

// Somebody writes STOP while something is under way.
func TestStopByText(t *testing.T) {
	for _, c := range []struct {
		name      string
		welcome   enginetest.Answer
		after     time.Duration
		atOnce    lead.State
		attempts  int
		cancelled []string
	}{
		{"while the guide is being read", keen, 2 * day, lead.Removed, 1, []string{"read"}},
		{"during a live call", keen, 30 * time.Second, lead.PendingRemoval, 1, []string{"guide"}},
		{"while a busy line is to be tried again", busy, time.Hour, lead.PendingRemoval, 1, []string{"welcome+retry", "next-day"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, wf := world(t, enginetest.Script{"welcome": c.welcome})
			id, other := w.Enroll(t, wf, enginetest.Contact(0)), w.Enroll(t, wf, enginetest.Contact(1))
			w.Run(t, c.after)
			if err := Texted(t.Context(), w.Engine(), wf, enginetest.Contact(0).PhoneNumber); err != nil {
				t.Fatal(err)
			}
			w.LeadIs(t, id, c.atOnce)
			w.Run(t, 30*day)
			w.LeadIs(t, id, lead.Removed)
			w.Attempts(t, id, "welcome", c.attempts)
			w.Cancelled(t, id, c.cancelled...)
			w.LeadIs(t, other, lead.Completed)
			w.PromisesHold(t)
		})
	}
}

// A number that did not come with the message is not everybody's.
func TestStopByTextFromNobody(t *testing.T) {
	w, wf := world(t, enginetest.Script{"welcome": keen})
	id := w.Enroll(t, wf, enginetest.Contact(0))
	for _, phone := range []string{"", " "} {
		if err := Texted(t.Context(), w.Engine(), wf, phone); !errors.Is(err, lead.ErrInvalid) {
			t.Errorf("the number %q: %v", phone, err)
		}
	}
	w.Run(t, 30*day)
	w.LeadIs(t, id, lead.Completed)
}

// A thousand people who begin a trial within a working week.
func TestTheMonthOfAThousand(t *testing.T) {
	call := func(good enginetest.Answer, share float64) enginetest.Answer {
		return enginetest.OneOf(
			enginetest.Weighted(share, good), enginetest.Weighted(25, noAnswer), enginetest.Weighted(10, busy),
			enginetest.Weighted(2, stop), enginetest.Weighted(63-share, no))
	}
	// Whom we have spoken or written to, and when last.
	last := map[string]time.Time{}
	var w *enginetest.World
	witness := func(answer enginetest.Answer) enginetest.Answer {
		return func(a *enginetest.Attempt) enginetest.Reply {
			last[a.Contact.PhoneNumber] = w.Now()
			return answer(a)
		}
	}
	message := witness(enginetest.Outcome(""))
	w, wf := world(t, enginetest.Script{
		"welcome": witness(call(talk("completed", 5), 60)), "second": witness(call(talk("completed", 5), 40)),
		"follow-up": witness(enginetest.OneOf(enginetest.Weighted(50, call(keen, 60)), enginetest.Weighted(50, call(cool, 60)))),
		"closing":   witness(call(signed, 45)), "last": witness(call(signed, 5)),
		"guide": message, "sorry": message, "offer": message,
	})
	const people = 1000
	var texted []lead.ID // who wrote STOP while they were live
	for i := range people {
		who := enginetest.Contact(i)
		w.After(time.Duration(i)*5*day/time.Duration(people), func() { w.Enroll(t, wf, who) })
		if i%50 == 0 { // one in fifty writes STOP ten days after the first
			w.After(10*day, func() {
				live, err := w.Engine().Leads(t.Context(), wf, engine.LeadFilter{
					PhoneNumber: who.PhoneNumber, States: []lead.State{lead.Enrolled, lead.InStep},
				})
				if err != nil {
					t.Error(err)
				}
				for _, l := range live {
					texted = append(texted, l.ID)
				}
				if err := Texted(t.Context(), w.Engine(), wf, who.PhoneNumber); err != nil {
					t.Error(err)
				}
			})
		}
	}
	w.Run(t, 36*day)
	w.PromisesHold(t)
	sum, err := w.Summarize(wf)
	if err != nil {
		t.Fatal(err)
	}
	if got := sum.States[lead.Completed] + sum.States[lead.Removed]; got != people || sum.Leads != people {
		t.Errorf("%d of %d leads have come to their end after thirty days: %v", got, sum.Leads, sum.States)
	}
	if share := float64(sum.Outcomes["converted"]) / float64(people); share < 0.10 || share > 0.20 {
		t.Errorf("%.3f of them are converted", share)
	}
	if sum.Calls.MostAtOnce > 12 {
		t.Errorf("%d calls at once, and we have 12 lines", sum.Calls.MostAtOnce)
	}
	gone, err := w.Engine().Leads(t.Context(), wf, engine.LeadFilter{States: []lead.State{lead.Removed}})
	if err != nil || len(gone) <= len(texted) {
		t.Errorf("%d are removed, %d wrote STOP, and others said it (%v)", len(gone), len(texted), err)
	}
	if len(texted) == 0 {
		t.Error("nobody wrote STOP while live: the test tests less than it says")
	}
	for _, id := range texted {
		if l := w.Lead(t, id); l.State != lead.Removed || l.Removal.Reason != "wrote STOP" {
			t.Errorf("%s wrote STOP, and is %s: %+v", l.PhoneNumber, l.State, l.Removal)
		}
	}
	for _, l := range gone {
		if last[l.PhoneNumber].After(l.Removal.RequestedAt) {
			t.Errorf("%s was contacted at %s, and had opted out at %s", l.PhoneNumber, last[l.PhoneNumber], l.Removal.RequestedAt)
		}
	}
}
