package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

type smsConfig struct {
	From string `json:"from"`
	Text string `json:"text"`
}

func (c *smsConfig) Validate() error {
	if c.From == "" {
		return errors.New("from is missing")
	}
	return nil
}

// smsWorkflow has one node, whose handler is "sms".
func (w *world) smsWorkflow(config workflow.Config) lead.WorkflowID {
	w.t.Helper()
	return w.draft([]workflow.Node{workflow.MessageNode("text", config).WithHandler("sms"), workflow.End("done", workflow.Converted)},
		workflow.On("text", "success", "done"))
}

func TestTypedHandlersGetTheirConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		got := make(chan smsConfig, 1)
		if err := w.eng.Handle("sms", engine.Typed(func(_ context.Context, a engine.Attempt, c smsConfig) (engine.Result, error) {
			got <- c
			return engine.Result{}, nil
		})); err != nil {
			t.Fatal(err)
		}
		id := w.smsWorkflow(workflow.Config{"from": "+14155550100", "text": "Hello"})
		if _, err := w.eng.ActivateWorkflow(background, id); err != nil {
			t.Fatal(err)
		}
		w.enroll(id, "+14155550111")
		if want := (smsConfig{"+14155550100", "Hello"}); <-got != want {
			t.Errorf("the handler got another config than %v", want)
		}
	})
}

func TestActivatingChecksTypedConfigs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		if err := w.eng.Handle("sms", engine.Typed(func(context.Context, engine.Attempt, smsConfig) (engine.Result, error) {
			return engine.Result{}, nil
		})); err != nil {
			t.Fatal(err)
		}
		for want, config := range map[string]workflow.Config{
			"unknown field":   {"from": "x", "txt": "Hello"},
			"cannot":          {"from": 5},
			"from is missing": {"text": "Hello"},
			"from is":         nil,
		} {
			_, err := w.eng.ActivateWorkflow(background, w.smsWorkflow(config))
			var invalid *lead.InvalidError
			if !errors.As(err, &invalid) || len(invalid.Faults) != 1 || invalid.Faults[0].Location != "nodes[0].config" ||
				!strings.Contains(invalid.Faults[0].Message, want) {
				t.Errorf("%v: %v, want a fault that says %q", config, err, want)
			}
		}
	})
}

// A message that a node with another handler schedules has a config of that one.
func TestTypedHandlersSendScheduledMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		type sent struct {
			config smsConfig
			data   string
		}
		got := make(chan sent, 1)
		w.config.Handlers["message"] = engine.Typed(func(_ context.Context, a engine.Attempt, c smsConfig) (engine.Result, error) {
			got <- sent{c, string(a.Scheduled.Data)}
			return engine.Result{}, nil
		})
		w.config.Handlers["voice_call"] = engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) {
			return engine.Result{Schedule: []engine.Message{{Data: json.RawMessage(`"later"`)}}}, nil
		})
		w.crash()
		id := w.activate([]workflow.Node{workflow.CallNode("call", workflow.Config{"agent": "a"}), workflow.Wait("wait", time.Hour), workflow.End("done", workflow.Converted)},
			workflow.On("call", "completed", "wait"), workflow.To("wait", "done"))
		w.enroll(id, "+14155550111")
		if s := <-got; s.config != (smsConfig{}) || s.data != `"later"` {
			t.Errorf("sent %v", s)
		}
	})
}

// A handler reaches its engine, whichever way it was registered.
func TestHandlersAndHooksReachTheirEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		hooked := make(chan lead.State, 1)
		w.config.Hooks = []engine.Hook{{Name: "reads", Run: func(ctx context.Context, e engine.HookEvent) error {
			l, err := e.Engine().Lead(ctx, e.Lead.WorkflowID, e.Lead.ID)
			hooked <- l.State
			return err
		}}}
		w.config.Handlers["voice_call"] = engine.HandlerFunc(func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			_, err := a.Engine().Remove(ctx, a.WorkflowID, a.LeadID)
			return engine.Result{}, err
		})
		w.crash()
		id := w.activate([]workflow.Node{workflow.CallNode("call", nil), workflow.End("done", workflow.Converted)}, workflow.On("call", "completed", "done"))
		who := w.enroll(id, "+14155550111")
		if s := <-hooked; s != lead.PendingRemoval {
			t.Errorf("the hook found the lead %s", s)
		}
		synctest.Wait()
		if l := w.lead(who); l.State != lead.Removed {
			t.Errorf("the lead is %s", l.State)
		}
	})
}

func TestRegisteringHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		h := engine.HandlerFunc(liveCall)
		for want, err := range map[string]error{
			"registered already; register it once, by Config.Handlers or by Handle": w.eng.Handle("voice_call", h),
			"is nil":          w.eng.Handle("sms", nil),
			"needs a name":    w.eng.Handle("", h),
			"invalid handler": w.eng.Handle("s m s", h),
			"has no handler":  w.eng.Handle("time", h),
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		id := w.smsWorkflow(nil)
		if _, err := w.eng.ActivateWorkflow(background, id); err == nil || !strings.Contains(err.Error(), "needs the handler sms") {
			t.Errorf("activating without a handler: %v", err)
		}
		if err := w.eng.Handle("sms", h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.eng.ActivateWorkflow(background, id); err != nil {
			t.Error(err)
		}
	})
}

// Result.Data is any value that is an object as JSON.
func TestDataOfAnyType(t *testing.T) {
	type talk struct {
		Seconds int    `json:"seconds"`
		Mood    string `json:"mood,omitempty"`
	}
	var none *talk
	for _, c := range []struct {
		data       any
		want, fail string
	}{
		{data: talk{Seconds: 7}, want: `{"seconds":7}`},
		{data: &talk{Mood: "good"}, want: `{"seconds":0,"mood":"good"}`},
		{data: map[string]int{"n": 1}, want: `{"n":1}`},
		{data: json.RawMessage(`{"id": 12345678901234567890}`), want: `{"id":12345678901234567890}`},
		{data: nil}, {data: none}, {data: map[string]any(nil)}, {data: struct{}{}}, {data: json.RawMessage("null")},
		{data: []int{1}, fail: "must be a JSON object; a value of type []int is an array"},
		{data: "text", fail: "a value of type string is a string"},
		{data: true, fail: "a value of type bool is a boolean"},
		{data: 5, fail: "a value of type int is a number"},
		{data: json.RawMessage("{"), fail: "cannot be written as JSON"},
		{data: make(chan int), fail: "cannot be written as JSON"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			w.config.Handlers["voice_call"] = engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) {
				return engine.Result{Data: c.data}, nil
			})
			w.crash()
			nodes, edges := []workflow.Node{workflow.CallNode("call", nil), workflow.CallNode("live", nil)}, workflow.On("call", "default", "live")
			id := w.activate(nodes, edges)
			who := w.enroll(id, "+14155550111")
			synctest.Wait()
			step := w.history(who)[0]
			if string(step.Data) != c.want || !strings.Contains(step.Error, c.fail) || (step.Error != "") != (c.fail != "") {
				t.Errorf("%T: data %s, error %q", c.data, step.Data, step.Error)
			}
		})
	}
}
