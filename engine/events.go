package engine

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// EventType says what happened to a lead.
type EventType string

// The types of events.
const (
	EventEnrolled         EventType = "lead.enrolled"
	EventStepCompleted    EventType = "step.completed" // completed or failed
	EventRemovalRequested EventType = "lead.removal_requested"
	EventRemoved          EventType = "lead.removed"
	EventCompleted        EventType = "lead.completed"
	// EventParked: the process ended too often during an attempt. See
	// [Config].MaxRedeliveries.
	EventParked EventType = "lead.parked"
	// EventUnreadable: the lead's row in the store cannot be read; Error says why. It comes
	// once, when the engine first meets the row: because the lead is due, or because
	// somebody asks for it or for a list with it. The engine does nothing for the lead
	// until it is started again, but it can be removed; all others go on. Only Lead.ID is
	// set, and it is zero if it cannot be read either.
	EventUnreadable EventType = "lead.unreadable"
	// EventHeld and EventReleased: the lead is held, or not any more.
	EventHeld     EventType = "lead.held"
	EventReleased EventType = "lead.released"
	// EventGuarded: the workflow was paused by its guard. Only WorkflowID is set, and
	// Error, which says why.
	EventGuarded EventType = "workflow.guarded"
	// EventsMissed: the listener was too slow, or a lead could not be read, and some
	// events were dropped.
	EventsMissed EventType = "events.missed"
)

// MaxBehind is how many changes of leads are queued for a listener before it misses
// some. See [Engine.Listen].
const MaxBehind = run.MaxBehind

// Event is something that happened to a lead. The change is on disk.
type Event struct {
	Type EventType `json:"type"`
	At   time.Time `json:"at"`
	// WorkflowID, in EventGuarded, is the workflow.
	WorkflowID lead.WorkflowID `json:"workflow_id,omitzero"`
	// Lead is the lead after the commit that made the change; the zero Lead in
	// EventsMissed. If one commit changed a lead more than once, its events have the
	// same Lead.
	Lead lead.Lead `json:"lead"`
	// Step, in EventStepCompleted, is the step that has ended: a call or a message, but
	// also a wait, a condition or a terminal node. Otherwise nil.
	Step *lead.Step `json:"step,omitempty"`
	// Error, in EventUnreadable, says why the lead cannot be read; in EventGuarded, why the
	// workflow was paused.
	Error string `json:"error,omitempty"`
	// Missed, in EventsMissed, is how many changes of leads were dropped between the
	// event before and the one after. A change may be several events.
	Missed int `json:"missed,omitempty"`
}

// Listen calls hear with every event from now on, after the commit that made the
// change. Events come in the order of the commits; those of one lead come in the order
// in which they happened. stop ends that; it does not wait for a call of hear that is
// running. Listen may be called at any time, and stop more than once.
//
// hear is called on a goroutine of its own, one call at a time, with no lock held; it
// may call every method of the engine but Shutdown. A panic of hear is logged, and
// hear is called with the next event. In a [Stepped] engine Settle calls it, as it
// calls handlers.
//
// A slow listener delays nothing else. A listener that is more than [MaxBehind]
// changes behind misses the changes that follow until it has caught up, and then gets
// one EventsMissed in their place; it can read the leads that matter to it from the
// engine. Events are kept in memory: those not heard when the process ends are lost.
// Shutdown returns when all were heard, or when its ctx ends.
func (e *Engine) Listen(hear func(Event)) (stop func()) {
	return e.run.Listen(func(changes []run.Change, missed int) {
		if err := e.run.ReadContacts(changes); err != nil {
			e.log.Error("leadflow: a listener misses events because the store cannot be read", slog.Any("error", err))
			missed += len(changes)
			changes = nil
		}
		for i := range changes {
			if n := changes[i].Guarded; n > 0 {
				f := changes[i].Flow
				e.tell(hear, Event{
					Type: EventGuarded, At: f.Row.Updated.Time(), WorkflowID: f.Row.ID,
					Error: fmt.Sprintf("%d of the last %d steps had the outcome %q", n, f.Graph.Guard().Of, f.Graph.Guard().Outcome),
				})
				continue
			}
			if err := changes[i].Unreadable; err != nil {
				event := Event{Type: EventUnreadable, At: e.config.Clock.Now().UTC(), Error: err.Error()}
				if c := changes[i].Contact; c != nil {
					event.Lead.ID = c.ID
				}
				e.tell(hear, event)
				continue
			}
			events, err := eventsOf(&changes[i])
			if err != nil {
				e.log.Error("leadflow: a listener misses an event of a lead that cannot be read", slog.Any("error", err))
				events = []Event{{Type: EventsMissed, At: e.config.Clock.Now().UTC(), Missed: 1}}
			}
			for _, event := range events {
				e.tell(hear, event)
			}
		}
		if missed > 0 {
			e.tell(hear, Event{Type: EventsMissed, At: e.config.Clock.Now().UTC(), Missed: missed})
		}
	})
}

// tell calls a listener, and recovers from its panic.
func (e *Engine) tell(hear func(Event), event Event) {
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("leadflow: a listener panicked", slog.Any("panic", p),
				slog.String("event", string(event.Type)), slog.String("stack", string(debug.Stack())))
		}
	}()
	hear(event)
}

// eventsOf returns the events of a change, in order.
func eventsOf(c *run.Change) ([]Event, error) {
	before, after := &c.Before, &c.After
	if c.Contact == nil {
		return nil, fmt.Errorf("engine: the contact of lead %d: %w", after.Rec.Seq, store.ErrNotFound)
	}
	l := core.Lead(c.Flow, after, &c.Contact.Contact, core.ClonePerson(c.Contact.Person))
	var events []Event
	add := func(t EventType, at time.Time, step *lead.Step) {
		events = append(events, Event{Type: t, At: at, Lead: l, Step: step})
	}
	if before.Rec.Seq == 0 {
		add(EventEnrolled, l.EnrolledAt, nil)
	}
	for i := range c.Steps {
		row := &c.Steps[i]
		if row.Status != lead.StepCompleted && row.Status != lead.StepFailed {
			continue
		}
		step, err := core.FinishedStep(c.Flow, l.ID, row, nil)
		if err != nil {
			return nil, err
		}
		add(EventStepCompleted, step.ExitedAt, &step)
	}
	if before.Notes.Removal == nil && after.Notes.Removal != nil {
		add(EventRemovalRequested, l.Removal.RequestedAt, nil)
		slices.SortStableFunc(events, func(a, b Event) int { return a.At.Compare(b.At) })
	}
	switch {
	case before.Notes.Hold == nil && after.Notes.Hold != nil:
		add(EventHeld, l.Hold.Since, nil)
	case before.Notes.Hold != nil && after.Notes.Hold == nil && !after.Rec.State.Final():
		add(EventReleased, l.UpdatedAt, nil)
	}
	if after.Notes.Parked && !before.Notes.Parked {
		add(EventParked, l.UpdatedAt, nil)
	}
	if state := after.Rec.State; state != before.Rec.State {
		switch state {
		case lead.Removed:
			add(EventRemoved, l.UpdatedAt, nil)
		case lead.Completed:
			add(EventCompleted, l.CompletedAt, nil)
		}
	}
	return events, nil
}
