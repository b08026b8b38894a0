package engines

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func oneCall() *workflow.Definition {
	return &workflow.Definition{
		Name: "Call", Entry: "call",
		Nodes: []workflow.Node{workflow.CallNode("call", nil), workflow.Wait("wait", time.Hour), workflow.CallNode("again", nil), workflow.End("won", workflow.Converted)},
		Edges: []workflow.Edge{workflow.On("call", "default", "wait"), workflow.To("wait", "again"), workflow.On("again", "default", "won")},
	}
}

// No limit is exceeded by several engines together, and no place stays free while somebody
// may be called (promise 15).
func TestEnginesKeepALimitTogether(t *testing.T) {
	const most, leads = 5, 40
	var flying, over atomic.Int64
	hangUp := make(chan struct{})
	f := newFleet(t, 3, func(context.Context, engine.Attempt) (engine.Result, error) {
		if flying.Add(1) > most {
			over.Add(1)
		}
		<-hangUp
		return engine.Result{Outcome: "completed"}, nil
	})
	if err := f.engines[0].SetLimits(ctx, []workflow.Limit{{Channel: workflow.VoiceCall, InFlight: most}}); err != nil {
		t.Fatal(err)
	}
	for i, e := range f.engines {
		if limits, err := e.Limits(ctx); err != nil || len(limits) != 1 || limits[0].InFlight != most {
			t.Errorf("engine %d: %+v, %v", i, limits, err)
		}
	}
	wf := f.activate(1, oneCall())
	for i := range leads {
		if _, err := f.engines[i%3].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for left := leads; left > 0; left-- {
		f.until("all lines are in use", func() bool { return flying.Load() >= int64(min(most, left)) })
		flying.Add(-1) // before the call ends, so that its place is not taken twice
		hangUp <- struct{}{}
	}
	if n := over.Load(); n > 0 {
		t.Errorf("%d calls began beyond the %d that are allowed", n, most)
	}
	// A limit that is changed by one engine is in force on all of them.
	if err := f.engines[2].SetLimits(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if limits, err := f.engines[0].Limits(ctx); err != nil || len(limits) != 0 {
		t.Errorf("%+v, %v", limits, err)
	}
}

// A suppression by one engine holds against enrolling and starting on every other
// (promise 13).
func TestASuppressionHoldsOnEveryEngine(t *testing.T) {
	const people = 150
	var mu sync.Mutex
	stopped := map[string]bool{} // whose suppression was acknowledged
	var late atomic.Int64
	f := newFleet(t, 3, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		if stopped[a.Contact.PhoneNumber] && a.Node.ID != "call" {
			late.Add(1)
		}
		return engine.Result{Outcome: "completed"}, nil
	})
	def := oneCall()
	def.Nodes[1] = workflow.Wait("wait", time.Millisecond)
	wf := f.activate(0, def)
	var work sync.WaitGroup
	for i := range people {
		work.Add(2)
		go func() {
			defer work.Done()
			for k := range 3 {
				_, err := f.engines[(i+k)%3].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)})
				if err != nil && !errors.Is(err, lead.ErrSuppressed) && !errors.Is(err, lead.ErrContactLive) {
					t.Error(err)
				}
			}
		}()
		go func() {
			defer work.Done()
			if _, err := f.engines[(i+1)%3].Suppress(ctx, engine.Suppress{PhoneNumber: phone(i)}); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			stopped[phone(i)] = true
			mu.Unlock()
			if _, err := f.engines[(i+2)%3].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)}); !errors.Is(err, lead.ErrSuppressed) {
				t.Errorf("after the suppression: %v", err)
			}
		}()
	}
	work.Wait()
	for i := range people {
		found, err := f.engines[i%3].ContactLeads(ctx, engine.ContactFilter{PhoneNumber: phone(i), States: []lead.State{lead.Enrolled, lead.InStep}})
		if err != nil || len(found) != 0 {
			t.Errorf("%s is live: %+v, %v", phone(i), found, err)
		}
	}
	if n := late.Load(); n != 0 {
		t.Errorf("%d steps started after the acknowledgement", n)
	}
	for i, e := range f.engines {
		if proof, err := e.VerifyAudit(ctx); err != nil || proof.Entries < people {
			t.Errorf("engine %d: %+v, %v", i, proof, err)
		}
	}
}
