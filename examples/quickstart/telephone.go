package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// telephone simulates a telephony provider and a message gateway. The outcome of a call
// depends only on the number, the node and the attempt, so all runs are alike.
type telephone struct {
	out *console
	eng *engine.Engine // set before the engine is started

	hungUp chan struct{}
	calls  sync.WaitGroup // live ones
}

func newTelephone(out *console) *telephone {
	return &telephone{out: out, hungUp: make(chan struct{})}
}

// Call is the handler of voice_call nodes. It blocks while the telephone rings.
// A busy line is an error, which the node's retry policy is for. When somebody
// picks up, the attempt stays in flight, as a live call whose outcome comes later.
func (t *telephone) Call(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	t.markRedelivered(a)
	will := foretell(a.Contact, a.Node.ID, a.Number)
	if err := sleep(ctx, will.ring); err != nil {
		return engine.Result{}, err
	}
	switch will.outcome {
	case "busy":
		return engine.Result{}, errors.New("line busy")
	case "dnp": // did not pick up
		return engine.Result{Outcome: will.outcome}, nil
	}
	t.talk(a.StepID, a.Number, will)
	// A real provider would be given the idempotency key, and would recognize an attempt
	// that is made again after a crash.
	return engine.InFlight("sim/" + a.IdempotencyKey), nil
}

// talk ends a live call after a while and reports its outcome, as a provider's callback
// would.
func (t *telephone) talk(step lead.StepID, attempt int, will fate) {
	t.calls.Go(func() {
		select {
		case <-time.After(will.talk):
		case <-t.hungUp:
			return // the step stays in flight, on disk
		}
		_, err := t.eng.CompleteStep(context.Background(), step, engine.Callback{
			Outcome: will.outcome,
			Attempt: attempt,
			Data:    map[string]any{"seconds": will.talk.Seconds()},
		})
		if err != nil && !errors.Is(err, engine.ErrNotRunning) {
			t.out.event("a call's outcome was refused: %v", err)
		}
	})
}

// Reattach continues the calls that were live when the last process ended, and returns
// how many there are. The engine waits for their outcomes and does not make them again;
// but this provider ended with the process, and would otherwise never report them.
func (t *telephone) Reattach(ctx context.Context, wf lead.WorkflowID) (int, error) {
	calls, _, err := t.eng.Calls(ctx, engine.CallFilter{WorkflowID: wf, Status: lead.StepInProgress})
	live := 0
	for _, c := range calls {
		if c.CallID == "" {
			continue // it was still ringing: the engine calls the handler again
		}
		l, err := t.eng.Lead(ctx, c.WorkflowID, c.LeadID)
		if err != nil {
			return live, err
		}
		t.talk(c.StepID, c.Attempt, foretell(l.Contact, c.NodeID, c.Attempt))
		live++
	}
	return live, err
}

// HangUp forgets all live calls. It is called after the engine was shut down.
func (t *telephone) HangUp() {
	close(t.hungUp)
	t.calls.Wait()
}

// Message is the handler of message nodes. A node whose config says
// "remind_after" has a reminder sent that much later, beside the lead's path.
func (t *telephone) Message(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	t.markRedelivered(a)
	var config struct {
		Text        string            `json:"text"`
		RemindAfter workflow.Duration `json:"remind_after"`
	}
	if err := json.Unmarshal(a.Node.Config, &config); err != nil {
		return engine.Result{}, engine.NonRetryable(err) // trying again would not help
	}
	if err := sleep(ctx, 80*time.Millisecond); err != nil {
		return engine.Result{}, err
	}
	if a.Scheduled != nil { // the reminder, not a visit to the node
		return engine.Result{Outcome: "sent"}, nil
	}
	if chance(a.Contact, a.Node.ID, a.Number) < 20 {
		return engine.Result{}, errors.New("message gateway overloaded")
	}
	result := engine.Result{Outcome: "sent", Data: map[string]any{"text": config.Text}}
	if config.RemindAfter > 0 {
		result.Schedule = []engine.Message{{
			After: time.Duration(config.RemindAfter),
			Data:  json.RawMessage(`"Have you had a look at our guide?"`),
		}}
	}
	return result, nil
}

func (t *telephone) markRedelivered(a engine.Attempt) {
	if a.Redelivered {
		t.out.event("%-11s %s, attempt %d, is REDELIVERED: the last process died in the middle of it",
			name(a.Contact), a.Node.ID, a.Number)
	}
}

// fate is how a call will go.
type fate struct {
	ring    time.Duration
	outcome string
	talk    time.Duration // if somebody, or a machine, picks up
}

func foretell(c lead.Contact, node string, attempt int) fate {
	n := chance(c, node, attempt)
	f := fate{
		ring: 400*time.Millisecond + time.Duration(n)*4*time.Millisecond,
		talk: time.Second + time.Duration(n)*10*time.Millisecond,
	}
	// People who opt out must come to the moment at which they do.
	switch scenario := c.Metadata[optsOutColumn]; {
	case scenario == nil:
	case (scenario == "queued_retry" || scenario == "no_redial") && attempt == 1:
		f.outcome = "busy"
		return f
	default:
		f.outcome, f.talk = "completed", 2*time.Second
		return f
	}
	switch {
	case n < 45:
		f.outcome = "completed"
	case n < 60:
		f.outcome = "dnp"
	case n < 70:
		f.outcome = "voicemail"
	case n < 78:
		f.outcome = "not_interested"
	default:
		f.outcome = "busy"
	}
	return f
}

// chance is a number from 0 to 99 that is always the same for an attempt.
func chance(c lead.Contact, node string, attempt int) int {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", c.PhoneNumber, node, attempt))
	return int(sum[0]) * 100 / 256
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
