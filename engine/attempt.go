package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// run is one call of a handler. All but the last fields are set before its
// goroutine starts and never change.
type run struct {
	rec         store.Record // the lead as the attempt was begun
	flow        *flow
	nodeType    workflow.NodeType
	sending     *message
	contact     *contact // nil until it is read, which is before the goroutine starts
	redelivered bool

	ctx    context.Context // the handler's; lives as long as its one call
	cancel context.CancelCauseFunc

	launched  bool // the loop's
	abandoned bool // the loop's: its deadline passed, nobody waits for it
}

func newRun(e *entry, f *flow, t workflow.NodeType, redelivered bool) *run {
	r := &run{rec: e.rec, flow: f, nodeType: t, sending: e.extra.Sending, contact: e.contact, redelivered: redelivered}
	// Of nobody's context: no Remove, Pause or Cancel reaches it (promise 3).
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	return r
}

func (r *run) stepID() string {
	if r.contact == nil {
		return "visit " + strconv.Itoa(int(r.rec.Visit)) + " of lead " + strconv.FormatInt(r.rec.Seq, 10)
	}
	return stepID(r.rec.Entered, r.contact.ID, r.rec.Visit).String()
}

// stepID returns the id of a lead's step.
func stepID(entered store.Millis, id lead.ID, visit int32) lead.StepID {
	return lead.NewStepID(entered.Time(), id, visit)
}

// attemptEnd is what a handler came to.
type attemptEnd struct {
	run      *run
	contact  *contact
	unread   error // the lead could not be read, so no handler was called
	err      string
	final    bool
	wait     time.Duration
	inFlight bool
	outcome  string
	callID   string
	data     []byte
	schedule []Message
}

func (r *run) lead() int64 { return r.rec.Seq }

func (r *run) launch(e *Engine, c *contact, unread error) {
	r.contact = c
	if unread != nil {
		r.cancel(nil)
		e.tell(&attemptEnd{run: r, unread: unread})
		return
	}
	e.spawn(func() {
		// A handler may end its goroutine, as a test's Fatal does.
		end := &attemptEnd{run: r, contact: r.contact, err: "the handler ended its goroutine"}
		defer func() {
			r.cancel(nil)
			e.tell(end)
		}()
		end = e.attempt(r)
	})
}

// attempt calls the handler and reads its answer, away from the loop.
func (e *Engine) attempt(r *run) *attemptEnd {
	end := &attemptEnd{run: r, contact: r.contact}
	handler := e.config.Handlers[r.nodeType]
	if handler == nil {
		end.err, end.final = fmt.Sprintf("no handler for %s nodes is configured", r.nodeType), true
		return end
	}
	c := end.contact
	a := Attempt{
		WorkflowID: r.flow.row.ID,
		LeadID:     c.ID,
		StepID:     stepID(r.rec.Entered, c.ID, r.rec.Visit),
		Contact:    c.Person,
		Node:       *r.flow.graph.Node(r.rec.Node),
		Number:     int(r.rec.Attempt),
		Deadline:   r.rec.Deadline.Time(),

		Redelivered: r.redelivered,
	}
	a.Contact.Metadata = maps.Clone(a.Contact.Metadata)
	a.IdempotencyKey = a.StepID.String() + "/" + strconv.Itoa(a.Number)
	if r.sending != nil {
		a.Scheduled = &Message{Data: bytes.Clone(r.sending.Data)}
	}
	if r.ctx.Err() != nil {
		// This goroutine came to run so late that the step is over, and its lead may
		// have been removed since (promise 2): nobody is called any more.
		end.err = context.Cause(r.ctx).Error()
		return end
	}
	if a.Redelivered {
		e.log.Warn("leadflow: an attempt that the end of a process interrupted is made again",
			slog.String("step", a.StepID.String()), slog.Int("attempt", a.Number), slog.String("node", a.Node.ID))
	}
	result, err := e.call(r.ctx, handler, a)
	if err == nil {
		if err = end.take(result); err != nil {
			err = NonRetryable(err) // calling again gives the same
		}
	}
	if err != nil {
		end.fail(err)
		return end
	}
	if end.outcome == "" {
		end.outcome = r.nodeType.SuccessOutcome()
	}
	return end
}

// fail keeps the error that a handler returned.
func (end *attemptEnd) fail(err error) {
	end.err = errorText(err)
	defer func() { _ = recover() }() // errors.As calls methods of it
	var wait *retryError
	var final *finalError
	end.final = errors.As(err, &final)
	if errors.As(err, &wait) {
		end.wait = wait.wait
	}
}

// take keeps what a handler answered, or says what is wrong with it.
func (end *attemptEnd) take(result Result) error {
	var schedule []Message
	for _, m := range result.Schedule {
		if len(m.Data) > 0 && !json.Valid(m.Data) {
			return errors.New("the data of a scheduled message is not JSON")
		}
		if err := checkJSON(m.Data); err != nil {
			return fmt.Errorf("the data of a scheduled message %w", err)
		}
		m.Data = bytes.Clone(m.Data) // the handler may use its own again
		schedule = append(schedule, m)
	}
	if err := checkCallID(result.CallID); err != nil {
		return fmt.Errorf("the call id %w", err)
	}
	if !result.InFlight {
		if err := checkOutcome(result.Outcome); err != nil {
			return fmt.Errorf("the outcome %w", err)
		}
		data, err := encodeData(result.Data)
		if err != nil {
			return err
		}
		end.outcome, end.data = result.Outcome, data
	}
	end.inFlight, end.callID, end.schedule = result.InFlight, result.CallID, schedule
	return nil
}

// call calls the handler; a panic of it is a failed attempt, not a dead process.
func (e *Engine) call(ctx context.Context, h Handler, a Attempt) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v", p)
			e.log.Error("leadflow: a handler panicked", slog.Any("panic", p), slog.String("node", a.Node.ID),
				slog.String("step", a.StepID.String()), slog.String("stack", string(debug.Stack())))
		}
	}()
	return h.Handle(ctx, a)
}

// beginCall opens the call log's entry of an attempt that is begun.
func (l *loop) beginCall(e *entry, f *flow) error {
	if l.stepType(e, f) != workflow.VoiceCall {
		return nil
	}
	seq, err := l.eng.store.Reserve(context.Background(), store.CallSequence, 1)
	if err != nil {
		return &storeError{err}
	}
	e.extra.CallSeq = seq
	l.noteCall(e, f, ended{Status: lead.StepInProgress})
	return nil
}

// noteCall writes what is known of the attempt begun last to the call log.
func (l *loop) noteCall(e *entry, f *flow, end ended) {
	if e.extra.CallSeq == 0 {
		return
	}
	r := &e.rec
	l.writes.Calls = append(l.writes.Calls, store.Call{
		Seq: e.extra.CallSeq, Lead: r.Seq, Workflow: r.Workflow, Visit: r.Visit, Entered: r.Entered,
		Attempt: r.Attempt, NodeID: f.graph.Node(r.Node).ID, Status: end.Status, Started: r.Started,
		Ended: end.At, CallID: end.CallID, Outcome: end.Outcome, Error: end.Error, Data: end.Data,
	})
}
