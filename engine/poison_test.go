package engine_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// unreadable are values that encoding/json writes, and does not read back.
var unreadable = map[string]any{
	"a raw number out of range":     json.RawMessage("1e400"),
	"a number out of range":         json.Number("-1.5E+309"),
	"a number of 400 digits":        json.Number(strings.Repeat("9", 400)),
	"one deep down":                 map[string]any{"a": []any{1, "1e400", json.RawMessage(`{"b":[0,1e999]}`)}},
	"an exponent beyond all bounds": json.RawMessage("1e99999999999999999999"),
}

// callTest is a workflow whose every lead asks steps.call after its call.
func callTest() ([]workflow.Node, []workflow.Edge) {
	return []workflow.Node{
			workflow.CallNode("call", nil),
			workflow.If("good", `steps.call.outcome == "completed"`),
			workflow.End("yes", workflow.Converted),
			workflow.End("no", workflow.Dropped),
		}, []workflow.Edge{
			workflow.On("call", "default", "good"), workflow.On("good", "true", "yes"), workflow.On("good", "false", "no"),
		}
}

func (s *stepped) activate(nodes []workflow.Node, edges []workflow.Edge) lead.WorkflowID {
	s.t.Helper()
	wf, err := s.CreateWorkflow(background, &workflow.Definition{Name: s.t.Name(), Entry: nodes[0].ID, Nodes: nodes, Edges: edges})
	if err == nil {
		_, err = s.ActivateWorkflow(background, wf.ID)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return wf.ID
}

func TestAnAnswerThatCannotBeReadBackFailsItsAttempt(t *testing.T) {
	for name, value := range unreadable {
		t.Run(name, func(t *testing.T) {
			s := newStepped(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
				if a.Contact.PhoneNumber != phone {
					return engine.Result{}, nil
				}
				return engine.Result{Data: map[string]any{"amount": value}}, nil
			}, nil)
			wf := s.activate(callTest())
			poisoned, other := s.enroll(wf, phone), s.enroll(wf, otherPhone)
			s.settle(0)
			s.expect(poisoned, "completed: call=failed good=false no=dropped")
			s.expect(other, "completed: call=completed good=true yes=converted")
			steps, err := s.History(background, wf, poisoned.ID)
			if err != nil || !strings.Contains(steps[0].Error, "out of range") || len(steps[0].Error) > 200 {
				t.Errorf("the call failed with %.300q, %v", steps[0].Error, err)
			}
			if err := s.Health(background); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestACallbackThatCannotBeReadBackIsRefused(t *testing.T) {
	s := newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.InFlight("c"), nil }, nil)
	wf := s.activate(callTest())
	l := s.enroll(wf, phone)
	s.settle(0)
	steps, err := s.History(background, wf, l.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]engine.Callback{
		"outcome": {Outcome: "\xff"}, "data": {Data: unreadable},
	} {
		var invalid *lead.InvalidError
		if _, err := s.CompleteStep(background, steps[0].ID, out); !errors.As(err, &invalid) || invalid.Faults[0].Location != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.settle(0)
	s.expect(l, "in_step: call=in_progress")
	// At the edge of what can be read.
	out := engine.Callback{Outcome: "completed", Data: map[string]any{"most": json.Number("-1.7e308"), "least": json.Number("1e-400")}}
	if _, err := s.CompleteStep(background, steps[0].ID, out); err != nil {
		t.Fatal(err)
	}
	s.expect(l, "completed: call=completed good=true yes=converted")
}

func TestMetadataThatCannotBeReadBackIsRefused(t *testing.T) {
	s := newStepped(t, succeedAtOnce, nil)
	wf := s.activate(callTest())
	for name, value := range unreadable {
		var invalid *lead.InvalidError
		_, err := s.Enroll(background, wf, lead.Contact{PhoneNumber: phone, Metadata: map[string]any{"amount": value}})
		if !errors.As(err, &invalid) || invalid.Faults[0].Location != "metadata" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// damages are what may have become of one lead's rows; ? is the lead's number.
var damages = map[string]string{
	"its state is cut off":                 `UPDATE leads SET extra = x'7b' WHERE seq = ?`,
	"its state is of another type":         `UPDATE leads SET extra = CAST('{"attempts":7,"removal":"x"}' AS BLOB) WHERE seq = ?`,
	"its state is gone":                    `UPDATE leads SET extra = NULL WHERE seq = ?`,
	"its state is of another lead":         `UPDATE leads SET extra = CAST('{"sending":{"node":0},"messages":[{"node":-3}]}' AS BLOB) WHERE seq = ?`,
	"its state names a node that is none":  `UPDATE leads SET extra = CAST('{"messages":[{"visit":9,"node":70,"due":1}]}' AS BLOB) WHERE seq = ?`,
	"it is at no node":                     `UPDATE leads SET node = 99 WHERE seq = ?`,
	"it is at a node before the first":     `UPDATE leads SET node = -1 WHERE seq = ?`,
	"it is at an end":                      `UPDATE leads SET node = 5 WHERE seq = ?`,
	"it is at a condition":                 `UPDATE leads SET node = 2 WHERE seq = ?`,
	"it is in no phase":                    `UPDATE leads SET phase = 0 WHERE seq = ?`,
	"it waits":                             `UPDATE leads SET phase = 1 WHERE seq = ?`,
	"it runs":                              `UPDATE leads SET phase = 2 WHERE seq = ?`,
	"it waits for a callback":              `UPDATE leads SET phase = 3 WHERE seq = ?`,
	"it waits for a retry":                 `UPDATE leads SET phase = 4 WHERE seq = ?`,
	"its hooks run":                        `UPDATE leads SET phase = 5 WHERE seq = ?`,
	"it has ended":                         `UPDATE leads SET phase = 6 WHERE seq = ?`,
	"it is in a phase beyond the last":     `UPDATE leads SET phase = 77 WHERE seq = ?`,
	"it is pending removal":                `UPDATE leads SET spot = spot - spot % 8 + 3 WHERE seq = ?`,
	"it is enrolled":                       `UPDATE leads SET spot = spot - spot % 8 + 1 WHERE seq = ?`,
	"it is in a step":                      `UPDATE leads SET spot = spot - spot % 8 + 2 WHERE seq = ?`,
	"its attempts are less than none":      `UPDATE leads SET attempt = -5 WHERE seq = ?`,
	"its attempts are too many":            `UPDATE leads SET attempt = 2147483647 WHERE seq = ?`,
	"its visits are too many":              `UPDATE leads SET visit = 2147483647, visits = 2147483647 WHERE seq = ?`,
	"its visits are less than none":        `UPDATE leads SET visit = -2147483648, visits = -2147483648 WHERE seq = ?`,
	"its times are before all time":        `UPDATE leads SET entered = -9223372036854775808, due = -9223372036854775808, deadline = -9223372036854775808 WHERE seq = ?`,
	"its times are after all time":         `UPDATE leads SET entered = 9223372036854775807, due = 9223372036854775807, deadline = 9223372036854775807 WHERE seq = ?`,
	"its history is gone":                  `UPDATE leads SET last_step = 0 WHERE seq = ?`,
	"its history is not there":             `UPDATE leads SET last_step = 888888 WHERE seq = ?`,
	"it is of no workflow":                 `UPDATE leads SET workflow = 77 WHERE seq = ?`,
	"its metadata are cut off":             `UPDATE contacts SET metadata = x'7b' WHERE seq = ?`,
	"its metadata are a list":              `UPDATE contacts SET metadata = CAST('[1,2]' AS BLOB) WHERE seq = ?`,
	"its metadata have a number too large": `UPDATE contacts SET metadata = CAST('{"plan":1e400}' AS BLOB) WHERE seq = ?`,
	"its phone number is none":             `UPDATE contacts SET phone = -1 WHERE seq = ?`,
	"its time zone is none":                `UPDATE contacts SET time_zone = 'x' WHERE seq = ?`,
	"its steps are cut off":                `UPDATE steps SET detail = x'7b' WHERE lead = ?`,
	"its steps have a number too large":    `UPDATE steps SET detail = CAST('{"data":{"amount":1e400}}' AS BLOB) WHERE lead = ?`,
	"its steps have data of another type":  `UPDATE steps SET detail = CAST('{"data":[1]}' AS BLOB) WHERE lead = ?`,
	"its steps are at no node":             `UPDATE steps SET node = 99 WHERE lead = ?`,
	"its steps have no status":             `UPDATE steps SET status = 99, kind = 99 WHERE lead = ?`,
	"its steps go in a circle":             `UPDATE steps SET prev = seq WHERE lead = ?`,
	"its steps are missing":                `DELETE FROM steps WHERE lead = ?`,
	"its calls are cut off":                `UPDATE calls SET data = x'7b', error = CAST(x'ff' AS TEXT) WHERE lead = ?`,
	"its calls are missing":                `DELETE FROM calls WHERE lead = ?`,
}

// damage ends the process in this moment, changes the file, and starts the next
// process.
func (w *world) damage(statement string, leads ...lead.Lead) {
	w.t.Helper()
	over, cancel := context.WithCancel(background)
	cancel()
	_ = w.eng.Shutdown(over)
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	db, err := sql.Open("sqlite", w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range leads {
		if _, err := db.Exec(statement, l.ID.Seq()); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// lockedBuffer is a buffer that several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Whatever has become of the rows of one lead, all others go on, and what is asked
// of the engine is answered.
func TestADamagedRowConcernsItsLeadAlone(t *testing.T) {
	for name, statement := range damages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { damageLeads(t, statement) })
		})
	}
}

func damageLeads(t *testing.T, statement string) {
	// What a person's first call comes to, by the last digit of the number.
	w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		if a.Node.ID != "call" || a.Number > 1 || a.Redelivered {
			return engine.Result{}, nil
		}
		switch number := a.Contact.PhoneNumber; number[len(number)-1] {
		case '0', '1', '5':
			return engine.Result{Data: map[string]any{"amount": 1}}, nil
		case '2', '6':
			return failing(a)
		case '3', '7':
			return engine.InFlight("c"), nil
		default:
			<-ctx.Done()
			return engine.Result{}, ctx.Err()
		}
	})
	log := &lockedBuffer{}
	w.config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError}))
	retry := workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Hour)}
	wf := w.activate([]workflow.Node{
		workflow.CallNode("call", nil).WithRetry(retry).WithTimeout(2 * time.Hour),
		workflow.Wait("wait", time.Hour),
		workflow.If("known", `metadata.plan == "gold"`),
		workflow.If("called", `steps.call.status != ""`),
		workflow.MessageNode("text", nil),
		workflow.End("done", workflow.Converted),
	}, workflow.On("call", "default", "wait"), workflow.To("wait", "known"), workflow.On("known", "true", "called"), workflow.On("known", "false", "called"),
		workflow.On("called", "true", "text"), workflow.On("called", "false", "text"), workflow.On("text", "default", "done"))
	var leads []lead.Lead
	for i := range 8 {
		l, err := w.eng.Enroll(background, wf, lead.Contact{
			PhoneNumber: fmt.Sprintf("+1415555267%d", i+1), Metadata: map[string]any{"plan": "gold"},
		})
		if err != nil {
			t.Fatal(err)
		}
		leads = append(leads, l)
	}
	synctest.Wait()
	w.damage(statement, leads[:4]...)
	w.pass(10 * time.Hour)
	for i, l := range leads[4:] {
		w.expectState(l, lead.Completed)
		if t.Failed() {
			t.Fatalf("healthy lead %d; log:\n%s", i, log)
		}
	}
	answered, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	if err := w.eng.Health(answered); err != nil {
		t.Errorf("Health: %v", err)
	}
	if page, err := w.eng.Leads(answered, wf, engine.LeadFilter{}); err != nil || len(page) < 4 {
		t.Errorf("Leads: %d, %v", len(page), err)
	}
	if _, _, err := w.eng.Calls(answered, engine.CallFilter{}); err != nil {
		t.Errorf("Calls: %v", err)
	}
	// Of the leads that are damaged something is known, or it is said what is wrong.
	for _, l := range leads[:4] {
		got, err := w.eng.Lead(answered, wf, l.ID)
		if errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Lead: %v", err)
		}
		_, removeErr := w.eng.Remove(answered, wf, l.ID, engine.SkipRetries())
		if errors.Is(removeErr, context.DeadlineExceeded) {
			t.Fatalf("Remove: %v", removeErr)
		}
		if live := err != nil || !got.State.Final(); live && removeErr != nil && !errors.Is(err, lead.ErrNotFound) &&
			strings.Count(log.String(), l.ID.String()) != 1 {
			t.Errorf("lead %s is %s, %v, and was not removed: %v; the log says\n%s", l.ID, got.State, err, removeErr, log)
		}
		if _, err := w.eng.History(answered, wf, l.ID); errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("History: %v", err)
		}
	}
	late, err := w.eng.Enroll(answered, wf, lead.Contact{PhoneNumber: "+14155552670"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.eng.Remove(answered, wf, late.ID); err != nil {
		t.Error(err)
	}
	if _, err := w.eng.CancelWorkflow(answered, wf); err != nil {
		t.Error(err)
	}
	if err := w.eng.DeleteWorkflow(answered, wf); err != nil && !errors.Is(err, lead.ErrConflict) {
		t.Error(err)
	}
	if err := w.eng.Health(answered); err != nil {
		t.Errorf("Health: %v", err)
	}
}

// absent is an error that cannot say what it is when it is nil.
type absent struct{ text string }

func (e *absent) Error() string { return e.text }

func TestWhatHandlersAndHooksSayIsBounded(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	for name, tt := range map[string]struct {
		says error
		want func(text string) bool
	}{
		"a long text":         {errors.New(long), func(text string) bool { return strings.HasPrefix(long, strings.TrimSuffix(text, "…")) }},
		"one of another rune": {errors.New("x" + long), func(text string) bool { return strings.HasSuffix(text, "é…") }},
		"no UTF-8":            {errors.New("busy\xff\xfe"), func(text string) bool { return text == "busy??" }},
		"no text":             {errors.New(""), func(text string) bool { return text != "" }},
		"a nil pointer":       {(*absent)(nil), func(text string) bool { return strings.Contains(text, "*engine_test.absent") }},
		"a text as it was":    {errors.New("line busy €"), func(text string) bool { return text == "line busy €" }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, tt.says }, nil,
				engine.Hook{Name: "hook", Run: func(context.Context, engine.HookEvent) error { return tt.says }})
			wf := s.activate(callTest())
			l := s.enroll(wf, phone)
			s.settle(0)
			s.expect(l, "completed: call=failed good=false no=dropped")
			steps, err := s.History(background, wf, l.ID)
			if err != nil {
				t.Fatal(err)
			}
			calls, _, err := s.Calls(background, engine.CallFilter{})
			if err != nil || len(calls) != 1 {
				t.Fatal(calls, err)
			}
			hook, isHook := strings.CutPrefix(steps[0].HookErrors[0], "hook: ")
			for _, text := range []string{steps[0].Error, steps[0].Attempts[0].Error, calls[0].Error, hook} {
				if len(text) > engine.MaxError || !utf8.ValidString(text) || !tt.want(text) || !isHook {
					t.Errorf("%d bytes: %.100q", len(text), text)
				}
			}
		})
	}
}

func TestACallIDThatIsTooLongFailsItsAttempt(t *testing.T) {
	for name, id := range map[string]string{"too long": strings.Repeat("x", engine.MaxCallID+1), "no UTF-8": "call-\xff"} {
		for _, result := range []engine.Result{{CallID: id}, {CallID: id, InFlight: true}} {
			s := newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) { return result, nil }, nil)
			wf := s.activate(callTest())
			l := s.enroll(wf, phone)
			s.settle(0)
			s.expect(l, "completed: call=failed good=false no=dropped")
			if steps, err := s.History(background, wf, l.ID); err != nil || !strings.Contains(steps[0].Error, "call id") || steps[0].CallID != "" {
				t.Errorf("%s: %+v, %v", name, steps, err)
			}
		}
	}
}

func TestACallbackWhoseCallIDIsTooLongIsRefused(t *testing.T) {
	s := newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.InFlight("c"), nil }, nil)
	wf := s.activate(callTest())
	l := s.enroll(wf, phone)
	s.settle(0)
	steps, err := s.History(background, wf, l.ID)
	if err != nil {
		t.Fatal(err)
	}
	var invalid *lead.InvalidError
	_, err = s.CompleteStep(background, steps[0].ID, engine.Callback{CallID: strings.Repeat("x", engine.MaxCallID+1)})
	if !errors.As(err, &invalid) || invalid.Faults[0].Location != "call_id" {
		t.Errorf("CompleteStep = %v", err)
	}
	longest := strings.Repeat("é", engine.MaxCallID/2)
	if _, err := s.CompleteStep(background, steps[0].ID, engine.Callback{CallID: longest}); err != nil {
		t.Fatal(err)
	}
	if steps, err = s.History(background, wf, l.ID); err != nil || steps[0].CallID != longest {
		t.Errorf("call id %q, %v", steps[0].CallID, err)
	}
}
