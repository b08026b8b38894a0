package core

import (
	"encoding/json"
	"errors"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// machine decides every change of a lead's state.
var machine = lead.NewMachine()

// Turn has the inputs of a decision on one lead, and collects the rows to be written
// with it. It may be used for many leads, one after the other; rows are appended.
type Turn struct {
	Now    store.Millis
	Flow   *Flow
	Hooks  bool          // there are completion hooks to call
	Person *lead.Contact // the lead's contact, nil when it has not been read

	// Steps are finished steps of the lead that are not in the store yet, in order;
	// View.Stored gives them their place.
	Steps []store.Step
	// Calls are rows of the call log. The row of an attempt begun in this turn has the
	// Seq PendingCall: the caller replaces it, and View.Notes.CallSeq, by a number.
	Calls []store.Call
	// Payloads are the data of scheduled messages; see store.Payload.
	Payloads []store.Payload
	Stats    Stats
	Effect   Effect // of a Signal

	next View // of the Apply under way, here so that none is allocated
}

// Stats counts the results of decisions.
type Stats struct {
	Enrolled, Completed, Removed int64
	StepsStarted                 int64 // first attempts
	StepsCompleted               int64 // with an outcome of a handler or a callback
	StepsFailed                  int64 // after the last attempt, or by timeout
	TimedOut                     int64 // of the failed steps, those by timeout
	Retries                      int64 // attempts after the first
	Redelivered                  int64 // attempts made again after a crash
	NotMade                      int64 // attempts whose handler said that nothing was done
	Parked                       int64
	TimersCancelled              int64
	HookFailures                 int64
}

// Add adds d.
func (s *Stats) Add(d *Stats) {
	s.Enrolled += d.Enrolled
	s.Completed += d.Completed
	s.Removed += d.Removed
	s.StepsStarted += d.StepsStarted
	s.StepsCompleted += d.StepsCompleted
	s.StepsFailed += d.StepsFailed
	s.TimedOut += d.TimedOut
	s.Retries += d.Retries
	s.Redelivered += d.Redelivered
	s.NotMade += d.NotMade
	s.Parked += d.Parked
	s.TimersCancelled += d.TimersCancelled
	s.HookFailures += d.HookFailures
}

// Sub takes d away.
func (s *Stats) Sub(d *Stats) {
	s.Enrolled -= d.Enrolled
	s.Completed -= d.Completed
	s.Removed -= d.Removed
	s.StepsStarted -= d.StepsStarted
	s.StepsCompleted -= d.StepsCompleted
	s.StepsFailed -= d.StepsFailed
	s.TimedOut -= d.TimedOut
	s.Retries -= d.Retries
	s.Redelivered -= d.Redelivered
	s.NotMade -= d.NotMade
	s.Parked -= d.Parked
	s.TimersCancelled -= d.TimersCancelled
	s.HookFailures -= d.HookFailures
}

// PendingCall is the Seq of a call log row that has no number yet.
const PendingCall = -1

// ErrNotNow: the event comes too late or too early for the lead, so nothing changes.
var ErrNotNow = errors.New("core: not now")

// Event is something that happens to a lead: [Enroll], [Begin], [NotCalled], [Answer],
// [Callback], [HooksEnded], [Answered], [Advance], [Remove] or [Touch].
type Event interface {
	apply(t *Turn, v *View) error
}

// Apply returns the lead after the event, and after the changes that follow from it by
// rule. If it returns an error, nothing has changed. The error is ErrNotNow, the
// machine's, or one of the event's own.
//
// The two views tell what the caller has to do besides writing the rows: if Running or
// Hooking is newly set, the handler or the hooks are to be called once the rows are on
// disk; if Running is not set any more, the handler is not waited for any more.
func (t *Turn) Apply(v View, e Event) (View, error) {
	steps, calls, payloads, stats := len(t.Steps), len(t.Calls), len(t.Payloads), t.Stats
	next := &t.next
	*next = v
	err := v.Unreadable
	switch e.(type) {
	case Remove, Advance: // of a lead that cannot be read, only these
		err = nil
	}
	if err == nil {
		if _, due := e.(Advance); !due { // which may be for that
			next.EndHold(t.Now)
		}
		err = e.apply(t, next)
	}
	for err == nil {
		need := Next(next, t.Flow, t.Now)
		if need.Kind != Change || !need.Change.byRule() {
			next.attribute(t.Flow, &v)
			return *next, nil
		}
		err = t.make(next, need)
	}
	t.Steps, t.Calls, t.Payloads, t.Stats = t.Steps[:steps], t.Calls[:calls], t.Payloads[:payloads], stats
	return v, err
}

// Advance makes the change that Next asks for. It is ErrNotNow if Next asks for no
// change.
type Advance struct{}

func (Advance) apply(t *Turn, v *View) error {
	need := Next(v, t.Flow, t.Now)
	if need.Kind != Change {
		return ErrNotNow
	}
	v.EndHold(t.Now)
	return t.make(v, need)
}

// make makes a change that Next asks for.
func (t *Turn) make(v *View, need Need) error {
	switch need.Change {
	case StepPass:
		return t.pass(v)
	case StepTimeOut:
		return t.timeOut(v)
	case StepEnd:
		return t.end(v, *v.Notes.Ended, nil)
	case StepDrop:
		return t.drop(v)
	case StepFailUnknown:
		return t.failUnknown(v, "")
	case StepHooks:
		v.Hooking = true
		return nil
	case StepPark:
		v.Notes.Parked = true
		t.Stats.Parked++
		return nil
	case StepRelease:
		v.EndHold(t.Now)
		return nil
	case StepDefer:
		v.Rec.Wake = need.At
		return nil
	case StepSuppress:
		return t.passOver(v)
	default: // StepCancel
		return t.remove(v, Removal{Reason: lead.ReasonWorkflowCancelled})
	}
}

// fire changes the lead's state as the machine decides.
func (t *Turn) fire(v *View, event lead.Event) error {
	state, err := machine.Fire(v.Rec.State, event)
	if err == nil {
		v.Rec.State = state
	}
	return err
}

// NodeType is the type of the lead's current step.
func (v *View) NodeType(f *Flow) workflow.NodeType {
	if v.Notes.Sending != nil {
		return workflow.Message
	}
	return f.Graph.Node(v.Rec.Node).Type
}

// Handler is the name of the handler for the lead's current step.
func (v *View) Handler(f *Flow) string {
	if v.Notes.Sending != nil {
		return string(workflow.Message)
	}
	return f.Graph.Node(v.Rec.Node).HandlerName()
}

// record adds a finished step to the lead's history.
func (t *Turn) record(v *View, s store.Step, d Detail) error {
	s.Lead = v.Rec.Seq
	if !d.empty() {
		var err error
		if s.Detail, err = d.encode(); err != nil {
			return err
		}
	}
	t.Steps = append(t.Steps, s)
	return nil
}

// pastStep records that the lead's current step, which has no attempts, has ended.
func (t *Turn) pastStep(v *View, status lead.StepStatus, outcome string, d Detail) error {
	r := &v.Rec
	return t.record(v, store.Step{
		Visit: r.Visit, Node: r.Node, Status: status, Entered: r.Entered, Due: r.Due, Exited: t.Now, Outcome: outcome,
	}, d)
}

// cancelStep records that a step will not take place.
func (t *Turn) cancelStep(v *View, s store.Step, data json.RawMessage) error {
	s.Status, s.Exited = lead.StepCancelled, t.Now
	t.Stats.TimersCancelled++
	return t.record(v, s, Detail{Data: data})
}
