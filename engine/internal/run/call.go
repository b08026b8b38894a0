package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Call is one call of a handler. All but the last fields are set before its
// goroutine starts and never change.
type Call struct {
	Ctx         context.Context // the handler's, for this call only
	Rec         store.Record    // the lead when the attempt was begun
	Flow        *core.Flow
	Handler     string // its name
	Contact     *Contact
	Redelivered bool
	// Asks: the handler is not to make the attempt, but to tell what became of it.
	Asks bool
	// Sending: the attempt sends a scheduled message, with that data.
	Sending bool
	Data    []byte

	shared   store.Shared // nil if engines cannot share the store
	engine   int64        // that has begun the attempt
	rateKey  string
	message  *core.Message
	cancel   context.CancelCauseFunc
	untried  bool // Begin has refused; used by the loop only when the call has ended
	clock    Clock
	closes   store.Millis // when the calling hours end; 0 for never
	counts   bool         // as a start, for a limit
	began    atomic.Int64 // when the handler was called, if counts; 0: not yet, -1: it never will be
	launched bool         // used by the loop only
	// abandoned: the step has ended, and the handler is not waited for. Used by the
	// loop only.
	abandoned bool
	// entered is nil until the handler is called or begun waits for that.
	entered atomic.Pointer[chan struct{}]
}

// StepID returns the id of the step.
func (c *Call) StepID() lead.StepID { return core.StepID(c.Rec.Entered, c.Contact.ID, c.Rec.Visit) }

func (c *Call) lead() int64 { return c.Rec.Seq }

// name returns the step's id, for log messages.
func (c *Call) name() string {
	if c.Contact == nil {
		return "visit " + strconv.Itoa(int(c.Rec.Visit)) + " of lead " + strconv.FormatInt(c.Rec.Seq, 10)
	}
	return c.StepID().String()
}

// startCall queues the handler of the attempt in flight to be called.
func (l *loop) startCall(e *entry, f *core.Flow) {
	c := &Call{
		Rec: e.view.Rec, Flow: f, Handler: e.view.Handler(f), Contact: e.contact, Redelivered: e.view.Notes.Redelivered,
		Asks: e.view.Asking, message: e.view.Notes.Sending, rateKey: e.view.RateKey(f, l.now), engine: l.r.rules.Engine,
		clock: l.r.Clock, closes: e.view.ClosesAt(f),
	}
	// Derived from no caller's context, so that Remove, Pause and Cancel do not cancel
	// it (promise 3).
	c.Ctx, c.cancel = context.WithCancelCause(context.Background())
	if m := c.message; m != nil {
		c.Sending, c.Data = true, m.Data
	}
	e.call = c
	l.running++
	l.live++
	l.launches = append(l.launches, e)
}

// unread reports whether something must be read before the handler is called.
func (c *Call) unread() bool {
	return c.Contact == nil || c.message != nil && c.message.Size > 0 && c.Data == nil
}

// launch calls the handler on a goroutine of its own, unless something that it needs
// could not be read: see caller.
func (c *Call) launch(r *Runner, contact *Contact, unread error, broken bool) {
	c.Contact, c.shared = contact, r.shared
	if unread == nil && c.unread() {
		unread, broken = c.readMessage(r)
	}
	if unread != nil {
		c.cancel(nil)
		c.began.Store(-1)
		c.enter()
		end := &callEnd{call: c, unread: unread}
		if broken {
			end.answer = core.Answer{Failed: unread.Error(), Final: true}
			end.unread = nil
		}
		r.inbox.tell(end)
		return
	}
	r.spawn(func() {
		// A handler may end its goroutine, as a test's Fatal does.
		end := &callEnd{call: c, answer: core.Answer{Failed: "the handler ended its goroutine", Unknown: c.Asks}}
		defer func() {
			c.enter()
			c.cancel(nil)
			c.began.CompareAndSwap(0, -1)
			r.tell(end)
		}()
		if c.Asks {
			end.answer, end.unread = r.Host.Reconcile(c)
			return
		}
		if c.Redelivered {
			r.Log.Warn("leadflow: making an attempt again because the process ended during it",
				slog.String("step", c.name()), slog.Int("attempt", int(c.Rec.Attempt)),
				slog.String("node", c.Flow.Graph.Node(c.Rec.Node).ID))
		}
		end.answer = r.Host.Attempt(c)
	})
}

// readMessage reads the data of the message that is to be sent.
func (c *Call) readMessage(r *Runner) (err error, broken bool) {
	found, err := r.Store.Payloads(context.Background(), c.Rec.Seq, []int32{c.Rec.Visit})
	switch rows, bad := asRowErrors(err); {
	case bad:
		return rows, true
	case err != nil:
		return err, false
	case len(found) == 0:
		return fmt.Errorf("engine: the data of the scheduled message is gone: %w", store.ErrNotFound), true
	}
	c.Data = found[0].Data
	return nil, false
}

// Begin must be called by the host directly before it calls the handler: whoever stops the
// lead does not wait for the call any more. If it returns
// an error, the handler must not be called: this goroutine was scheduled so late that
// the step has ended, and the lead may have been removed since (promise 2); or the error
// is ErrNotHeld or ErrClosed.
func (c *Call) Begin() error {
	if err := context.Cause(c.Ctx); err != nil {
		return err
	}
	if c.shared != nil && !c.shared.Held(c.engine) {
		c.untried = true
		return ErrNotHeld
	}
	if c.closes != 0 && store.MillisOf(c.clock.Now()) >= c.closes {
		c.untried = true
		return ErrClosed
	}
	if c.counts {
		c.began.Store(int64(store.MillisOf(c.clock.Now())))
	}
	c.enter()
	return nil
}

// ErrClosed: the calling hours have ended since the attempt was committed.
var ErrClosed = errors.New("engine: the calling hours ended before the handler was called")

// ErrNotHeld: since it committed the attempt, this process was stopped or cut off for so
// long that another process may be making it now.
var ErrNotHeld = errors.New("engine: another process may have taken over before the handler was called")

var entered = make(chan struct{})

// enter notes that the handler is being called, or never will be.
func (c *Call) enter() {
	if waits := c.entered.Swap(&entered); waits != nil && waits != &entered {
		close(*waits)
	}
}

// begun returns a channel that is closed when the handler is called, or nil if it has
// been called already.
func (c *Call) begun() <-chan struct{} {
	waits := make(chan struct{})
	for !c.entered.CompareAndSwap(nil, &waits) {
		switch before := c.entered.Load(); before {
		case &entered:
			return nil
		case nil:
		default:
			return *before
		}
	}
	return waits
}

// callEnd is the result of a call.
type callEnd struct {
	call   *Call
	unread error // no handler was called, for example because something could not be read
	answer core.Answer
}

func (end *callEnd) lead() int64 { return end.call.Rec.Seq }

// restUnread is the pause before an attempt whose handler could not be called is tried
// again.
const restUnread = time.Second

func (end *callEnd) settle(l *loop) error {
	if !end.call.abandoned {
		l.live--
	}
	e := l.hot[end.lead()]
	if e == nil || e.call != end.call {
		// The step got its outcome from a callback, or its deadline passed
		// (promise 8: one outcome).
		l.late++
		if !end.answer.InFlight {
			l.r.Log.Warn("leadflow: a handler returned after its step had ended; its answer is dropped",
				slog.String("step", end.call.name()), slog.String("error", end.answer.Failed))
		}
		return nil
	}
	if end.unread != nil {
		l.r.Log.Error("leadflow: a handler cannot be called; trying again", slog.Any("error", end.unread))
		return l.apply(e, core.NotCalled{Again: l.now.Add(restUnread)})
	}
	if e.contact == nil {
		e.contact = end.call.Contact
	}
	l.heed(end)
	return l.apply(e, &end.answer)
}

// heed begins or ends the back-off of a call's rate key, by the result of the call.
func (l *loop) heed(end *callEnd) {
	key := end.call.rateKey
	if end.answer.Never || end.answer.Unknown || end.call.untried {
		return // the attempt was not tried
	}
	if end.answer.CoolFor > 0 {
		until := l.now.Add(end.answer.CoolFor)
		l.r.rules.Close(key, until)
		l.r.Log.Warn("leadflow: the provider asks to wait; no attempts with this rate key begin until the time given",
			slog.String("rate_key", key), slog.Time("until", until.Time()), slog.String("error", end.answer.Failed))
	}
	if !end.answer.NotMade {
		if l.r.rules.Works(key, l.now) {
			l.r.Log.Info("leadflow: attempts can be made again", slog.String("rate_key", key))
		}
		return
	}
	if until, fresh := l.r.rules.Cool(key, l.now); fresh {
		l.r.Log.Error("leadflow: attempts cannot be made; they are not counted, and no others with this rate key begin until the time given",
			slog.String("rate_key", key), slog.Time("until", until.Time()), slog.String("error", end.answer.Failed))
	}
}

// asRowErrors returns the errors about single rows in an error of the store, if it is
// about rows.
func asRowErrors(err error) (store.RowErrors, bool) {
	var rows store.RowErrors
	if errors.As(err, &rows) {
		return rows, true
	}
	var row *store.RowError
	if errors.As(err, &row) {
		return store.RowErrors{row}, true
	}
	return nil, false
}
