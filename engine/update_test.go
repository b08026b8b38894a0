package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/faulty"
)

func (w *world) update(l lead.Lead, u engine.LeadUpdate) lead.Lead {
	w.t.Helper()
	got, err := w.eng.UpdateLead(context.Background(), l.WorkflowID, l.ID, u)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// kept is a lead's metadata as the store has it.
func (w *world) kept(l lead.Lead) string {
	w.t.Helper()
	found, err := w.store.Lead(context.Background(), l.ID.Seq())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(found.Contact.Metadata)
}

// object is the object of a JSON text, with its numbers as they are written.
func object(t *testing.T, text string) (out map[string]any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return out
}

func pointer(text string) *string { return &text }

// The cases of RFC 7396, appendix A, as far as both sides are objects, and as values
// of a key where one of them is not.
func TestMetadataIsMergedAsRFC7396Says(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.waitThenCall(time.Hour)
		for i, c := range []struct{ has, patch, want string }{
			{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
			{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
			{`{"a":"b"}`, `{"a":null}`, ``},
			{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
			{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
			{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
			{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
			{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
			{`{"x":["a","b"]}`, `{"x":["c","d"]}`, `{"x":["c","d"]}`},
			{`{"x":{"a":"b"}}`, `{"x":["c"]}`, `{"x":["c"]}`},
			{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
			{`{"x":[1,2]}`, `{"x":{"a":"b","c":null}}`, `{"x":{"a":"b"}}`},
			{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
			{`{"a":[1]}`, `{"a":[null]}`, `{"a":[null]}`}, // a list is a value like any other
			{`{"a":1}`, `{}`, `{"a":1}`},
			{`{"big":9007199254740993,"exact":1.10}`, `{"more":-12345678901234567890}`, `{"big":9007199254740993,"exact":1.10,"more":-12345678901234567890}`},
			{`{"deep":{"big":9007199254740993}}`, `{"deep":{"b":1}}`, `{"deep":{"b":1,"big":9007199254740993}}`},
			{`{"a":1}`, `{"A":2}`, `{"A":2,"a":1}`},
		} {
			l, err := w.eng.Enroll(context.Background(), wf, lead.Contact{
				PhoneNumber: person(i).PhoneNumber, Metadata: object(t, c.has), ExternalID: "crm-1", TimeZone: "Europe/Berlin",
			})
			if err != nil {
				t.Fatal(err)
			}
			got := w.update(l, engine.LeadUpdate{Metadata: object(t, c.patch)})
			if kept := w.kept(l); kept != c.want {
				t.Errorf("%s and %s give %s, want %s", c.has, c.patch, kept, c.want)
			}
			answered, err := json.Marshal(got.Metadata)
			if err != nil {
				t.Fatal(err)
			}
			// 1.10 is a float64 to a program.
			want := strings.Replace(c.want, "1.10", "1.1", 1)
			if want == "" {
				want = "null"
			}
			if string(answered) != want {
				t.Errorf("%s and %s: the answer is %s, want %s", c.has, c.patch, answered, want)
			}
			if got.PhoneNumber != person(i).PhoneNumber || got.ExternalID != "crm-1" || got.TimeZone != "Europe/Berlin" || got.State != lead.Enrolled {
				t.Errorf("the rest is %+v", got)
			}
		}
	})
}

func TestAnUpdateSetsTheTimeZoneAndTheExternalID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.waitThenCall(time.Hour)
		l, err := w.eng.Enroll(context.Background(), wf, lead.Contact{PhoneNumber: phone, ExternalID: "old", Metadata: map[string]any{"a": 1.0}})
		if err != nil {
			t.Fatal(err)
		}
		before := w.lead(l)
		time.Sleep(time.Minute)
		got := w.update(l, engine.LeadUpdate{TimeZone: pointer("Asia/Tokyo"), ExternalID: pointer("new")})
		want := before
		want.TimeZone, want.ExternalID, want.UpdatedAt = "Asia/Tokyo", "new", before.UpdatedAt.Add(time.Minute)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.crash()
		if diff := cmp.Diff(want, w.lead(l)); diff != "" {
			t.Errorf("after a crash (-want +got):\n%s", diff)
		}
		for external, n := range map[string]int64{"old": 0, "new": 1} {
			if found, err := w.eng.CountLeads(context.Background(), wf, engine.LeadFilter{ExternalID: external}); err != nil || found != n {
				t.Errorf("%d leads are %s, %v, want %d", found, external, err, n)
			}
		}
		got = w.update(l, engine.LeadUpdate{TimeZone: pointer(""), ExternalID: pointer("")})
		if got.TimeZone != "" || got.ExternalID != "" {
			t.Errorf("they are %q and %q, want none", got.TimeZone, got.ExternalID)
		}
	})
}

func TestUpdateLeadRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		ctx, wf := context.Background(), w.waitThenCall(time.Hour)
		l := w.enroll(wf, phone)
		half := map[string]any{"a": strings.Repeat("x", engine.MaxData/2)}
		w.update(l, engine.LeadUpdate{Metadata: half})
		before := w.lead(l)
		deep := any("x")
		for range 1001 {
			deep = []any{deep}
		}
		for name, c := range map[string]struct {
			u    engine.LeadUpdate
			want string
		}{
			"everything at once": {engine.LeadUpdate{
				Metadata: map[string]any{"f": func() {}}, TimeZone: pointer("Mars/Base"), ExternalID: pointer(strings.Repeat("x", 257)),
			}, "[external_id time_zone metadata]"},
			"a zone and metadata that is too much": {engine.LeadUpdate{
				Metadata: map[string]any{"b": half["a"]}, TimeZone: pointer("Local"),
			}, "[time_zone metadata]"},
			"a patch that is too large":  {engine.LeadUpdate{Metadata: map[string]any{"b": strings.Repeat("x", engine.MaxData)}}, "[metadata]"},
			"a patch that is too deep":   {engine.LeadUpdate{Metadata: map[string]any{"b": deep}}, "[metadata]"},
			"a number that nobody reads": {engine.LeadUpdate{Metadata: map[string]any{"b": json.Number("1e400")}}, "[metadata]"},
		} {
			_, err := w.eng.UpdateLead(ctx, wf, l.ID, c.u)
			var invalid *lead.InvalidError
			if !errors.As(err, &invalid) {
				t.Errorf("%s: %v", name, err)
				continue
			}
			var got []string
			for _, f := range invalid.Faults {
				got = append(got, f.Location)
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("%s: faults of %s, want %s", name, got, c.want)
			}
		}
		if diff := cmp.Diff(before, w.lead(l)); diff != "" {
			t.Errorf("the lead has changed (-want +got):\n%s", diff)
		}

		some := engine.LeadUpdate{Metadata: map[string]any{"a": 1}}
		other := w.waitThenCall(time.Hour)
		for name, c := range map[string]struct {
			wf lead.WorkflowID
			id lead.ID
		}{"no such workflow": {lead.WorkflowID{1}, l.ID}, "no such lead": {wf, lead.ID{1}}, "another workflow's": {other, l.ID}} {
			if _, err := w.eng.UpdateLead(ctx, c.wf, c.id, some); !errors.Is(err, lead.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}

		w.pass(time.Hour) // it is in a call now
		w.remove(l)
		w.expectState(l, lead.PendingRemoval)
		if got := w.update(l, some); got.Metadata["a"] != 1.0 || got.State != lead.PendingRemoval {
			t.Errorf("a lead whose removal is pending: %+v", got)
		}
		w.pass(2 * time.Hour)
		w.expectState(l, lead.Removed)
		for _, u := range []engine.LeadUpdate{{Metadata: map[string]any{"a": 2}}, {}} {
			var conflict *lead.ConflictError
			_, err := w.eng.UpdateLead(ctx, wf, l.ID, u)
			if !errors.As(err, &conflict) || conflict.Reason != lead.ErrLeadFinal || conflict.Lead != l.ID || conflict.State != "removed" {
				t.Errorf("a removed lead: %v", err)
			}
		}
		if got := w.lead(l).Metadata["a"]; got != 1.0 {
			t.Errorf("metadata of the removed lead is %v", got)
		}
	})
}

// vip is a workflow that waits, calls, and branches on the metadata and on the
// call.
func (w *world) vip() lead.WorkflowID {
	return w.activate([]workflow.Node{
		workflow.CallNode("call", nil),
		workflow.If("vip", `metadata.vip == true && steps.call.outcome == "completed"`),
		workflow.Wait("wait", time.Hour),
		workflow.If("still", `metadata.vip == true && lead.time_zone == "Asia/Tokyo"`),
		workflow.End("yes", workflow.Converted), workflow.End("no", workflow.Dropped),
	},
		workflow.On("call", workflow.DefaultLabel, "vip"), workflow.On("vip", "true", "wait"), workflow.On("vip", "false", "no"),
		workflow.To("wait", "still"), workflow.On("still", "true", "yes"), workflow.On("still", "false", "no"))
}

func TestConditionsSeeAnUpdateFromTheNextDecisionOn(t *testing.T) {
	for _, crash := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var heard []any
			w := newWorld(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
				heard = append(heard, a.Contact.Metadata["vip"])
				time.Sleep(time.Minute)
				return engine.Result{}, nil
			})
			l := w.enroll(w.vip(), phone)
			synctest.Wait()
			w.update(l, engine.LeadUpdate{Metadata: map[string]any{"vip": true}}) // during the call
			w.pass(2 * time.Minute)
			w.expectSteps(l, "call=completed vip=true wait=waiting")
			due := w.lead(l).NextActionAt
			w.update(l, engine.LeadUpdate{TimeZone: pointer("Asia/Tokyo")})
			if got := w.lead(l).NextActionAt; got != due {
				t.Errorf("the wait is due at %s, was due at %s", got, due)
			}
			if crash {
				w.crash()
			}
			w.pass(time.Hour)
			w.expectSteps(l, "call=completed vip=true wait=completed still=true yes=converted")
			if fmt.Sprint(heard) != "[<nil>]" {
				t.Errorf("the handler was given %v: an attempt keeps what it began with", heard)
			}
		})
	}
}

// A condition that is being evaluated while the lead is updated is evaluated again:
// decisions after UpdateLead has returned must not depend on the earlier metadata.
func TestAConditionThatIsBeingAnsweredSeesAnUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newFaulty(t, nil, nil)
		release := make(chan struct{})
		s.Inject(faulty.Fault{Method: faulty.Steps, Until: release})
		l := w.enroll(w.activate([]workflow.Node{
			workflow.CallNode("call", nil), workflow.Wait("wait", time.Hour),
			workflow.If("vip", `metadata.vip == true && steps.call.outcome == "completed"`), // whose step is to be read
			workflow.End("yes", workflow.Converted), workflow.End("no", workflow.Dropped),
		},
			workflow.On("call", workflow.DefaultLabel, "wait"), workflow.To("wait", "vip"),
			workflow.On("vip", "true", "yes"), workflow.On("vip", "false", "no")), phone)
		w.pass(time.Hour + time.Minute)
		w.expectSteps(l, "call=completed wait=completed vip=waiting")
		w.update(l, engine.LeadUpdate{Metadata: map[string]any{"vip": true}})
		close(release)
		synctest.Wait()
		w.expectSteps(l, "call=completed wait=completed vip=true yes=converted")
	})
}

func TestUpdatesOfALeadAtTheSameTimeAreAllMade(t *testing.T) {
	w := newWorld(t, nil)
	l := w.enroll(w.waitThenCall(time.Hour), phone)
	const each, callers = 20, 16
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range each {
				u := engine.LeadUpdate{Metadata: map[string]any{fmt.Sprintf("%d.%d", c, i): i, "common": map[string]any{fmt.Sprint(c): i}}}
				if _, err := w.eng.UpdateLead(context.Background(), l.WorkflowID, l.ID, u); err != nil {
					t.Errorf("update %d.%d: %v", c, i, err)
				}
			}
		})
	}
	all.Wait()
	got := w.lead(l).Metadata
	common, _ := got["common"].(map[string]any)
	if len(got) != each*callers+1 || len(common) != callers {
		t.Errorf("%d keys and %d in common, want %d and %d", len(got), len(common), each*callers+1, callers)
	}
	for c := range callers {
		if common[fmt.Sprint(c)] != float64(each-1) {
			t.Errorf("the last update of caller %d has left %v", c, common[fmt.Sprint(c)])
		}
	}
}

// An update and a removal at the same time: what was acknowledged is there, and what
// was refused came after the removal.
func TestUpdatesRaceWithARemoval(t *testing.T) {
	w := newWorld(t, nil)
	wf := w.waitThenCall(time.Hour)
	for i := range crowdOf(50) {
		l := w.enroll(wf, person(i).PhoneNumber)
		var mu sync.Mutex
		made := map[string]any{}
		var all sync.WaitGroup
		start := make(chan struct{})
		for c := range 8 {
			all.Go(func() {
				<-start
				for k := range 4 {
					key := fmt.Sprintf("%d.%d", c, k)
					_, err := w.eng.UpdateLead(context.Background(), wf, l.ID, engine.LeadUpdate{Metadata: map[string]any{key: true}})
					mu.Lock()
					if err == nil {
						made[key] = true
					} else if !errors.Is(err, lead.ErrLeadFinal) {
						t.Errorf("update: %v", err)
					}
					mu.Unlock()
				}
			})
		}
		var removed lead.Lead
		all.Go(func() {
			<-start
			r := w.remove(l)
			var err error
			if removed, err = r.Wait(context.Background()); err != nil {
				t.Error(err)
			}
		})
		close(start)
		all.Wait()
		got := w.lead(l)
		if len(made)+len(got.Metadata) > 0 {
			if diff := cmp.Diff(made, got.Metadata); diff != "" {
				t.Errorf("what was acknowledged and what is kept (-made +kept):\n%s", diff)
			}
		}
		if diff := cmp.Diff(removed, got); diff != "" {
			t.Errorf("the lead was changed after its removal (-then +now):\n%s", diff)
		}
	}
}

func TestAnUpdateWhoseCommitFailsIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newFaulty(t, nil, nil)
		l := w.enroll(w.waitThenCall(time.Hour), phone)
		s.Inject(faulty.Fault{Method: faulty.Commit, Err: errDisk})
		_, err := w.eng.UpdateLead(context.Background(), l.WorkflowID, l.ID, engine.LeadUpdate{Metadata: map[string]any{"a": 1}})
		if !errors.Is(err, errDisk) {
			t.Errorf("got %v", err)
		}
		w.pass(time.Minute)
		if got := w.update(l, engine.LeadUpdate{Metadata: map[string]any{"b": 2}}).Metadata; len(got) != 1 || got["b"] != 2.0 {
			t.Errorf("metadata is %v", got)
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := w.eng.UpdateLead(over, l.WorkflowID, l.ID, engine.LeadUpdate{}); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v", err)
		}
	})
}
