package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

func TestRemoveLeadsTakesThoseThatMatchAndNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		other := w.enroll(w.waitThenCall(time.Hour), phone)
		wf := w.waitThenCall(time.Hour)
		const n = 1200 // several pages
		first := w.enrollMany(wf, 0, n)
		w.pass(time.Hour) // they are in a call now
		second := w.enrollMany(wf, n, n)
		synctest.Wait()
		remove := func(want int, filter engine.LeadFilter, options ...engine.RemoveOption) {
			t.Helper()
			got, err := w.eng.RemoveLeads(context.Background(), wf, filter, options...)
			if err != nil || got != want {
				t.Errorf("%d leads are removed, %v, want %d", got, err, want)
			}
		}
		remove(700, engine.LeadFilter{Node: "wait", Limit: 700}, engine.Reason("campaign over"), engine.Actor("ops"))
		w.expectCounts(wf, map[lead.State]int64{lead.Enrolled: 500, lead.InStep: n, lead.Removed: 700})
		w.expectSteps(lead.Lead{WorkflowID: wf, ID: second[0]}, "wait=cancelled")
		if got := w.lead(lead.Lead{WorkflowID: wf, ID: second[699]}); got.Removal == nil || got.Removal.Reason != "campaign over" || got.Removal.Actor != "ops" {
			t.Errorf("the removal on record is %+v", got.Removal)
		}
		w.expectState(lead.Lead{WorkflowID: wf, ID: second[700]}, lead.Enrolled)
		remove(n, engine.LeadFilter{States: []lead.State{lead.InStep, lead.Completed}})
		w.expectCounts(wf, map[lead.State]int64{lead.Enrolled: 500, lead.PendingRemoval: n, lead.Removed: 700})
		remove(10, engine.LeadFilter{All: true, After: first[0], Offset: 5, Limit: 10}) // pending already: no error, and counted
		remove(0, engine.LeadFilter{States: []lead.State{lead.Removed}})
		remove(500+n, engine.LeadFilter{All: true})
		w.pass(48 * time.Hour) // every call has passed its deadline
		w.expectCounts(wf, map[lead.State]int64{lead.Removed: 2 * n})
		remove(0, engine.LeadFilter{All: true})
		w.expectState(other, lead.Completed)
	})
}

func TestRemoveLeadsRefusesWhatItCannotDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.waitThenCall(time.Hour)
		l := w.enroll(wf, phone)
		if _, err := w.eng.RemoveLeads(context.Background(), lead.WorkflowID{1}, engine.LeadFilter{}); !errors.Is(err, lead.ErrNotFound) {
			t.Errorf("an unknown workflow: %v", err)
		}
		var faults *lead.InvalidError
		_, err := w.eng.RemoveLeads(context.Background(), wf, engine.LeadFilter{Node: "nowhere", Limit: -1})
		if !errors.As(err, &faults) || len(faults.Faults) != 2 {
			t.Errorf("a faulty filter: %v", err)
		}
		_, err = w.eng.RemoveLeads(context.Background(), wf, engine.LeadFilter{Offset: -1}, engine.Reason(strings.Repeat("x", 1025)))
		if !errors.As(err, &faults) || len(faults.Faults) != 3 {
			t.Errorf("a filter that selects nobody, a faulty offset and a faulty reason: %v", err)
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := w.eng.RemoveLeads(over, wf, engine.LeadFilter{All: true}); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v", err)
		}
		w.expectState(l, lead.Enrolled)
	})
}

// A caller that gives up has those removed that were reached, and no more.
func TestRemoveLeadsStopsWhenItsCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newFaulty(t, nil, nil)
		wf := w.waitThenCall(time.Hour)
		const n = 1200
		w.enrollMany(wf, 0, n)
		synctest.Wait()
		release := hold(s, removes, nil)
		ctx, cancel := context.WithCancel(context.Background())
		answer := make(chan error, 1)
		go func() {
			_, err := w.eng.RemoveLeads(ctx, wf, engine.LeadFilter{All: true})
			answer <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-answer; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		release()
		synctest.Wait()
		got := w.counts(wf)
		if got[lead.Removed] == 0 || got[lead.Removed]+got[lead.Enrolled] != n || got[lead.Enrolled] == 0 {
			t.Errorf("counts are %v, want some of both", got)
		}
		// The engine is not held up by what is left of it.
		if removed, err := w.eng.RemoveLeads(context.Background(), wf, engine.LeadFilter{All: true}); err != nil || removed != int(got[lead.Enrolled]) {
			t.Errorf("asking again removes %d, %v, want the other %d", removed, err, got[lead.Enrolled])
		}
	})
}

// A filter that nobody filled in, or filled in with nothing, removes nobody.
func TestRemoveLeadsNeverTakesNothingForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.waitThenCall(time.Hour)
		ids := w.enrollMany(wf, 0, 3)
		for name, filter := range map[string]engine.LeadFilter{
			"the zero filter":            {},
			"a limit":                    {Limit: 2},
			"a place":                    {After: ids[0], Offset: 1},
			"an empty list of states":    {States: []lead.State{}},
			"the same, at a node":        {States: []lead.State{}, Node: "wait"},
			"the same, of all":           {All: true, States: []lead.State{}},
			"a state that is none":       {States: []lead.State{0}},
			"a blank phone number":       {PhoneNumber: " "},
			"a blank external id":        {ExternalID: "\t "},
			"the same, at a node too":    {ExternalID: " ", Node: "wait"},
			"all, and a node":            {All: true, Node: "wait"},
			"all, and a phone number":    {All: true, PhoneNumber: phone},
			"all, and an external id":    {All: true, ExternalID: "crm-1"},
			"all, and a state":           {All: true, States: []lead.State{lead.Enrolled}},
			"a phone number that is not": {PhoneNumber: "none"},
		} {
			n, err := w.eng.RemoveLeads(context.Background(), wf, filter)
			var invalid *lead.InvalidError
			if n != 0 || !errors.As(err, &invalid) || !errors.Is(err, lead.ErrInvalid) {
				t.Errorf("%s: %d removed, %v", name, n, err)
			}
		}
		w.expectCounts(wf, map[lead.State]int64{lead.Enrolled: 3})
	})
}
