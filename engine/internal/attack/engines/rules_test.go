package engines

import (
	"context"
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
	limits := []workflow.Limit{{Channel: workflow.VoiceCall, InFlight: most + 2}, {Channel: workflow.VoiceCall, InFlight: most}} // the lesser counts
	if err := f.engines[0].SetLimits(ctx, limits); err != nil {
		t.Fatal(err)
	}
	for i, e := range f.engines {
		if limits, err := e.Limits(ctx); err != nil || len(limits) != 2 || limits[1].InFlight != most {
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
