package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// oneCall is a workflow of one call, with rules of the workflow and of the node.
func oneCall(rules, node string) string {
	return fmt.Sprintf(`{"name": "w", "entry": "call", %s "nodes": [{"id": "call", "type": "voice_call"%s}, {"id": "won", "type": "converted"}],
		"edges": [{"from": "call", "to": "won", "label": "default"}]}`, rules, node)
}

// details are what is said of the blockers of a kind.
func details(x engine.Explanation, kind engine.WaitReason) (list []string) {
	for _, b := range x.Blockers {
		if b.Kind == kind {
			list = append(list, b.Detail)
		}
	}
	return list
}

func TestAnExplanationNamesEveryLimitThatIsUsedUp(t *testing.T) {
	r := newRules(t)
	r.answer = live
	if err := r.SetLimits(background, []workflow.Limit{{InFlight: 1, Channel: "voice_call", RateKey: "line"}}); err != nil {
		t.Fatal(err)
	}
	wf := r.activate(oneCall(`"limits": [{"starts": 1, "per": "1h"}],`, `, "rate_key": "line", "limits": [{"in_flight": 1}, {"in_flight": 5}]`))
	r.enroll(wf, phone)
	second := r.enroll(wf, "+14155552672")
	r.settle(0)
	want := []string{
		`a limit of all workflows is used up: 1 of 1 voice_call attempts with the rate key "line" are in flight`,
		`a limit of the workflow is used up: 1 of 1 attempts have started within 1h`,
		`a limit of the node "call" is used up: 1 of 1 attempts are in flight`,
	}
	if got := details(r.explain(second), engine.WaitLimit); !slices.Equal(got, want) {
		t.Errorf("it says %q\nwant %q", got, want)
	}

	again := r.activate(oneCall(`"limits": [{"per_contact": 1, "per": "48h"}],`, ""))
	first := r.enroll(again, "+14155552680")
	r.settle(0)
	r.complete(first)
	l := r.enroll(again, "+14155552680")
	r.settle(0)
	want = []string{`a limit of the workflow is used up: the person has had 1 of 1 attempts within 48h`}
	if got := details(r.explain(l), engine.WaitDailyCap); !slices.Equal(got, want) {
		t.Errorf("it says %q\nwant %q", got, want)
	}
}

func TestAnExplanationSaysWhoseCallingHoursAreClosedAndWhere(t *testing.T) {
	const evening = `"calling_hours": {"windows": [{"days": ["mon"], "from": "19:00", "to": "20:00"}]}`
	const late = `, "calling_hours": {"windows": [{"days": ["mon"], "from": "19:30", "to": "20:00"}], "spread": "10m"}`
	for _, tt := range []struct {
		name, rules, node string
		contact           lead.Contact
		after             time.Duration
		want              string
	}{
		{name: "the number's zone", rules: evening + ",", contact: lead.Contact{PhoneNumber: "+12125552671"},
			want: `the calling hours are closed: those of the workflow are closed in America/New_York, a time zone of its number`},
		{name: "the lead's zone", rules: evening + ",", contact: lead.Contact{PhoneNumber: "+12125552671", TimeZone: "Asia/Tokyo"}, after: 2 * time.Hour,
			want: `the calling hours are closed: those of the workflow are closed in Asia/Tokyo, the lead's time zone`},
		{name: "the node's", node: late, contact: lead.Contact{PhoneNumber: "+12125552671"},
			want: `the calling hours are closed: those of the node "call" are closed in America/New_York, a time zone of its number`},
		{name: "both", rules: evening + ",", node: late, contact: lead.Contact{PhoneNumber: "+12125552671"},
			want: `the calling hours are closed: those of the workflow are closed in America/New_York, a time zone of its number; ` +
				`those of the node "call" are closed in America/New_York, a time zone of its number`},
		{name: "its turn", rules: evening + ",", node: late, contact: lead.Contact{PhoneNumber: "+12125552671", TimeZone: "UTC"}, after: 10*time.Hour + 30*time.Minute,
			want: `its turn within the spread of the calling hours comes later: those of the node "call" are open in UTC, the lead's time zone`},
		{name: "the workflow's zone", rules: evening + `, "time_zone": "Europe/Berlin",`, contact: lead.Contact{PhoneNumber: "+8835100000000"},
			want: `the calling hours are closed: those of the workflow are closed in Europe/Berlin, the workflow's time zone`},
		{name: "no zone", rules: evening + ",", contact: lead.Contact{PhoneNumber: "+8835100000000"},
			want: `the calling hours are closed: those of the workflow are closed in UTC, since no time zone is known of it`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRules(t) // Monday, 09:00 UTC
			wf := r.activate(oneCall(tt.rules, tt.node))
			r.settle(tt.after)
			l, err := r.Enroll(background, wf, tt.contact)
			if err != nil {
				t.Fatal(err)
			}
			r.settle(0)
			if got := details(r.explain(l), engine.WaitHours); len(got) != 1 || got[0] != tt.want {
				t.Errorf("it says %q\nwant %q", got, tt.want)
			}
		})
	}
}

// A toll-free number of North America may be in any zone from Guam to Saint Lucia, where nine
// to five is at different times.
func TestCallingHoursThatNeverAgreeAreSaidToBeAndAskNothingOfTheEngine(t *testing.T) {
	r := newRules(t)
	wf := r.activate(oneCall(`"calling_hours": {"windows": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "09:00", "to": "17:00"}]},`, ""))
	l := r.enroll(wf, "+18005552671")
	r.settle(0)
	const want = "the calling hours never allow an attempt: no time in the next 400 days is inside them in all 42 time zones that its number may be in, " +
		"from America/Adak to Pacific/Saipan; give the lead a time_zone of its own"
	if x := r.explain(l); x.Reason != engine.WaitHours || !x.Until.IsZero() || len(x.Blockers) != 1 || x.Blockers[0].Detail != want {
		t.Fatalf("%+v", x)
	}
	before := r.Stats().Commits
	for range 360 {
		r.settle(24 * time.Hour)
	}
	if n := r.Stats().Commits - before; n != 0 {
		t.Errorf("%d commits in a year for a lead that cannot be called", n)
	}
	zone := "America/Chicago"
	if _, err := r.UpdateLead(background, wf, l.ID, engine.LeadUpdate{TimeZone: &zone}); err != nil {
		t.Fatal(err)
	}
	r.settle(7 * time.Hour) // four in the afternoon in UTC, ten in the morning in Chicago
	r.calledAre("call")
}

func TestAnExplanationOfAHeldLeadSaysWhatComesNextAndNotWhenUnlessThatIsKnown(t *testing.T) {
	r := newRules(t)
	wf := r.activate(callThenText)
	l := r.enroll(wf, phone)
	r.settle(0)
	due := r.clock.now.Add(48 * time.Hour) // of the wait
	r.settle(time.Hour)
	for _, tt := range []struct {
		hold engine.Hold
		at   time.Time
	}{
		{engine.Hold{}, time.Time{}},
		{engine.Hold{Until: r.clock.now.Add(24 * time.Hour)}, due.Add(24 * time.Hour)},
	} {
		if _, err := r.Hold(background, wf, l.ID, tt.hold); err != nil {
			t.Fatal(err)
		}
		if x := r.explain(l); len(x.Next) != 1 || !x.Next[0].At.Equal(tt.at) {
			t.Errorf("held %+v: next %+v, want at %s", tt.hold, x.Next, tt.at)
		}
	}
}
