package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

func idsOf(leads []lead.Lead) (ids []lead.ID) {
	for _, l := range leads {
		ids = append(ids, l.ID)
	}
	return ids
}

func TestALeadIsFoundByItsIDAloneInAnyWorkflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		first, second := w.waitThenCall(time.Hour), w.waitThenCall(time.Hour)
		for _, l := range []lead.Lead{w.enroll(first, phone), w.enroll(second, phone)} {
			got, err := w.eng.LeadByID(context.Background(), l.ID)
			if err != nil || got.ID != l.ID || got.WorkflowID != l.WorkflowID || got.PhoneNumber != phone {
				t.Errorf("got %+v, %v", got, err)
			}
		}
		deleted := w.enroll(first, "+14155552672")
		if _, err := w.eng.CancelWorkflow(context.Background(), first); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := w.eng.DeleteWorkflow(context.Background(), first); err != nil {
			t.Fatal(err)
		}
		sameNumber := lead.IDFrom(time.Unix(1, 0), 2, 3) // as the second lead's, which has another id
		for name, id := range map[string]lead.ID{
			"the zero id": {}, "an unknown id": lead.IDFrom(time.Now(), 99, 1), "another id": sameNumber, "of a deleted workflow": deleted.ID,
		} {
			var missing *lead.NotFoundError
			if _, err := w.eng.LeadByID(context.Background(), id); !errors.As(err, &missing) || missing.Name != id.String() || missing.In != "" {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestLeadsAreFoundByExternalID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf, other := w.waitThenCall(time.Hour), w.waitThenCall(time.Hour)
		enroll := func(wf lead.WorkflowID, number, external string) lead.ID {
			l, err := w.eng.Enroll(context.Background(), wf, lead.Contact{PhoneNumber: number, ExternalID: external})
			if err != nil {
				t.Fatal(err)
			}
			return l.ID
		}
		a := enroll(wf, "+14155550001", "crm-1")
		b := enroll(wf, "+14155550002", "crm-1") // not unique
		enroll(wf, "+14155550003", "crm-12")
		enroll(wf, "+14155550004", "")
		c := enroll(other, "+14155550001", "crm-1")
		d := enroll(other, "+14155550005", "")

		list := func(filter engine.LeadFilter, want ...lead.ID) {
			t.Helper()
			got, err := w.eng.Leads(context.Background(), wf, filter)
			n, countErr := w.eng.CountLeads(context.Background(), wf, filter)
			if err != nil || countErr != nil || !slices.Equal(idsOf(got), want) || int(n) != len(want) {
				t.Errorf("%+v: got %v, %d, %v, %v, want %v", filter, idsOf(got), n, err, countErr, want)
			}
		}
		list(engine.LeadFilter{ExternalID: "crm-1"}, a, b)
		list(engine.LeadFilter{ExternalID: "crm-1", PhoneNumber: "+14155550002"}, b)
		list(engine.LeadFilter{ExternalID: "CRM-1"})
		list(engine.LeadFilter{ExternalID: "crm-1 "})

		person := func(filter engine.ContactFilter, want ...lead.ID) {
			t.Helper()
			got, err := w.eng.ContactLeads(context.Background(), filter)
			if err != nil || !slices.Equal(idsOf(got), want) {
				t.Errorf("%+v: got %v, %v, want %v", filter, idsOf(got), err, want)
			}
		}
		person(engine.ContactFilter{ExternalID: "crm-1"}, c, b, a) // the newest first
		person(engine.ContactFilter{ExternalID: "crm-1", Limit: 2}, c, b)
		person(engine.ContactFilter{ExternalID: "crm-1", Limit: 2, After: b}, a)
		person(engine.ContactFilter{PhoneNumber: "+14155550001"}, c, a)
		person(engine.ContactFilter{PhoneNumber: "+14155550001", ExternalID: "crm-2"})
		person(engine.ContactFilter{PhoneNumber: "+14155550005", States: []lead.State{lead.Enrolled}}, d)
		person(engine.ContactFilter{PhoneNumber: "+14155550005", States: []lead.State{lead.Removed}})
		person(engine.ContactFilter{PhoneNumber: "+14155550009"})

		if n, err := w.eng.RemoveLeads(context.Background(), wf, engine.LeadFilter{ExternalID: "crm-1"}); err != nil || n != 2 {
			t.Errorf("%d are removed, %v", n, err)
		}
		w.expectCounts(wf, map[lead.State]int64{lead.Enrolled: 2, lead.Removed: 2})
		person(engine.ContactFilter{ExternalID: "crm-1", States: []lead.State{lead.Enrolled}}, c)

		// A page is filled although leads of deleted workflows are passed over.
		if _, err := w.eng.CancelWorkflow(context.Background(), other); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := w.eng.DeleteWorkflow(context.Background(), other); err != nil {
			t.Fatal(err)
		}
		person(engine.ContactFilter{ExternalID: "crm-1", Limit: 2}, b, a)
	})
}

func TestAFilterNamesEveryFaultAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		ctx, wf := context.Background(), w.waitThenCall(time.Hour)
		_, leads := w.eng.Leads(ctx, wf, engine.LeadFilter{
			PhoneNumber: " ", ExternalID: " ", Node: "nowhere", States: []lead.State{77}, Offset: -1, Limit: -1,
		})
		_, person := w.eng.ContactLeads(ctx, engine.ContactFilter{PhoneNumber: " ", ExternalID: " ", States: []lead.State{}, Limit: -1})
		_, nobody := w.eng.ContactLeads(ctx, engine.ContactFilter{})
		_, _, calls := w.eng.Calls(ctx, engine.CallFilter{PhoneNumber: " ", CallID: " ", Limit: -1})
		for want, err := range map[string]error{
			"[external_id limit node_id offset phone_number status]": leads,
			"[external_id limit phone_number status]":                person,
			"[phone_number]":               nobody,
			"[call_id limit phone_number]": calls,
		} {
			var invalid *lead.InvalidError
			if !errors.As(err, &invalid) {
				t.Errorf("got %v, want faults of %s", err, want)
				continue
			}
			var got []string
			for _, f := range invalid.Faults {
				got = append(got, f.Location)
			}
			slices.Sort(got)
			if fmt.Sprint(got) != want {
				t.Errorf("got faults of %s, want %s", got, want)
			}
		}
	})
}

func TestCallsAreFoundByCallIDAndInPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
			return engine.Result{CallID: "call-" + a.Contact.PhoneNumber}, nil
		})
		ctx, wf := context.Background(), w.callOnce()
		const n = 1100 // several pages
		w.enrollMany(wf, 0, n)
		w.pass(time.Hour)
		all := func(filter engine.CallFilter) (list []lead.Call) {
			t.Helper()
			calls := w.eng.AllCalls(ctx, filter)
			for range 2 { // an iterator may be used again
				list = nil
				for c, err := range calls {
					if err != nil {
						t.Fatal(err)
					}
					list = append(list, c)
				}
			}
			return list
		}
		list := all(engine.CallFilter{})
		if page, _, err := w.eng.Calls(ctx, engine.CallFilter{}); err != nil || len(list) != n || len(page) != n {
			t.Errorf("%d calls, %v, want %d", len(list), err, n)
		}
		for i := range list[1:] {
			if list[i+1].StartedAt.Before(list[i].StartedAt) {
				t.Fatalf("call %d was begun before call %d", i+1, i)
			}
		}
		if got := all(engine.CallFilter{WorkflowID: wf, Limit: 700}); len(got) != 700 || got[699].StepID != list[699].StepID {
			t.Errorf("%d calls, want the first 700", len(got))
		}
		for range w.eng.AllCalls(ctx, engine.CallFilter{}) {
			break
		}
		if got := all(engine.CallFilter{CallID: list[7].CallID}); len(got) != 1 || got[0].StepID != list[7].StepID {
			t.Errorf("by call id: %+v", got)
		}
		for _, filter := range []engine.CallFilter{
			{CallID: "call"}, {CallID: list[7].CallID, LeadID: list[8].LeadID}, {CallID: list[7].CallID + " "},
		} {
			if got := all(filter); len(got) != 0 {
				t.Errorf("%+v: %d calls", filter, len(got))
			}
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		times := 0
		for _, err := range w.eng.AllCalls(over, engine.CallFilter{}) {
			if times++; err == nil {
				t.Error("no error")
			}
		}
		if times != 1 {
			t.Errorf("%d elements, want the error alone", times)
		}
	})
}
