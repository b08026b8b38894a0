package engine_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func (w *world) contact(number string) engine.ContactStatus {
	w.t.Helper()
	c, err := w.eng.ContactStatus(background, number)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestASuppressedPersonIsSilentWhenTheStepInFlightHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangUp := make(chan struct{})
		w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) {
			<-hangUp
			return engine.Result{}, nil
		})
		calling := w.enroll(w.callWaitMessage(), "+14155552671")
		waiting := w.enroll(w.activate([]workflow.Node{workflow.Wait("wait", 48*time.Hour), workflow.End("done", workflow.Converted)}, workflow.To("wait", "done")), "+14155552671")
		synctest.Wait()
		c := w.contact(" +1 (415) 555-2671 ")
		if c.PhoneNumber != "+14155552671" || c.Live != 2 || c.InFlight != 1 || c.Suppressed || !c.SilentSince.IsZero() {
			t.Errorf("before: %+v", c)
		}
		if len(c.Leads) != 2 || c.Leads[0].ID != waiting.ID || c.Leads[1].ID != calling.ID {
			t.Errorf("leads %+v", c.Leads)
		}

		w.pass(time.Minute)
		if _, err := w.eng.Suppress(background, engine.Suppress{PhoneNumber: "+14155552671"}); err != nil {
			t.Fatal(err)
		}
		if c := w.contact("+14155552671"); !c.Suppressed || c.InFlight != 1 || c.Live != 1 || !c.SilentSince.IsZero() {
			t.Errorf("during the call: %+v", c)
		}
		w.pass(time.Minute)
		close(hangUp)
		ended := time.Now()
		w.pass(time.Minute)
		if c := w.contact("+14155552671"); !c.Suppressed || c.InFlight+c.Live != 0 || !c.SilentSince.Equal(ended) {
			t.Errorf("after the call: %+v, want silence since %s", c, ended)
		}
	})
}

func TestAPersonWithoutLeadsIsSilentSinceTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		if c := w.contact("+4915112345678"); c.Suppressed || len(c.Leads) > 0 || !slices.Equal(c.TimeZones, []string{"Europe/Berlin"}) {
			t.Errorf("nothing is known: %+v", c)
		}
		asked := time.Now()
		s, err := w.eng.Suppress(background, engine.Suppress{PhoneNumber: "+4915112345678"})
		if err != nil {
			t.Fatal(err)
		}
		w.pass(time.Hour)
		if c := w.contact("+4915112345678"); !c.Suppressed || !c.SilentSince.Equal(asked) || len(c.Suppressions) != 1 || c.Suppressions[0].ID != s.ID {
			t.Errorf("suppressed: %+v", c)
		}
		if _, err := w.eng.Lift(background, s.ID); err != nil {
			t.Fatal(err)
		}
		if c := w.contact("+4915112345678"); c.Suppressed || !c.SilentSince.IsZero() || len(c.Suppressions) > 0 {
			t.Errorf("lifted: %+v", c)
		}
	})
}

func TestASuppressionOfTheExternalIDHoldsForThePerson(t *testing.T) {
	w := newWorld(t, nil)
	wf := w.callWaitMessage()
	if _, err := w.eng.Enroll(background, wf, lead.Contact{PhoneNumber: "+14155552671", ExternalID: "crm-7", TimeZone: "Asia/Tokyo"}); err != nil {
		t.Fatal(err)
	}
	for i, s := range []engine.Suppress{
		{PhoneNumber: "+14155552671", Channel: workflow.Message}, {PhoneNumber: "+14155552671", WorkflowID: wf}, {ExternalID: "crm-7"},
	} {
		if _, err := w.eng.Suppress(background, s); err != nil {
			t.Fatal(err)
		}
		if c := w.contact("+14155552671"); len(c.Suppressions) != i+1 || c.Suppressed != (i == 2) || !slices.Equal(c.TimeZones, []string{"Asia/Tokyo"}) {
			t.Errorf("with %d suppressions: %+v", i+1, c)
		}
	}
	_, err := w.eng.ContactStatus(background, "555")
	if !errors.Is(err, lead.ErrInvalid) {
		t.Errorf("no number: %v", err)
	}
}

func TestLeadsAreListedInBothOrders(t *testing.T) {
	w := newWorld(t, nil)
	wf := w.callWaitMessage()
	var want []lead.ID
	for i := range 5 {
		want = append(want, w.enroll(wf, number(i)).ID)
	}
	slices.Reverse(want)
	var got []lead.ID
	filter := engine.LeadFilter{Newest: true, Limit: 2}
	for {
		page, err := w.eng.Leads(background, wf, filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page {
			got = append(got, l.ID)
		}
		if len(page) < 2 {
			break
		}
		filter.After = page[len(page)-1].ID
	}
	if !slices.Equal(got, want) {
		t.Errorf("newest first: %v, want %v", got, want)
	}
}
