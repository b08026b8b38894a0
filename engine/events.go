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

// EventType says what has happened to a lead.
type EventType string

// The types of events.
const (
	EventEnrolled         EventType = "lead.enrolled"
	EventStepCompleted    EventType = "step.completed" // with whatever outcome, also a failed one
	EventRemovalRequested EventType = "lead.removal_requested"
	EventRemoved          EventType = "lead.removed"
	EventCompleted        EventType = "lead.completed"
	// EventParked: the process ended too often during an attempt. See
	// [Config].MaxRedeliveries.
	EventParked EventType = "lead.parked"
	// EventUnreadable: what is on record of the lead cannot be read, and Error says why.
	// It is left alone until the engine is started again; all others go on. Of Lead
	// only the ID is set, and not even that if it cannot be read.
	EventUnreadable EventType = "lead.unreadable"
	// EventsMissed: the listener was too slow, or a lead could not be read.
	EventsMissed EventType = "events.missed"
)

// MaxBehind is how many changes of leads a listener may be behind. See
// [Engine.Listen].
const MaxBehind = run.MaxBehind

// Event is something that has happened to a lead, and is on disk.
type Event struct {
	Type EventType `json:"type"`
	At   time.Time `json:"at"`
	// Lead as the commit left it that made the change; the zero Lead in EventsMissed.
	// What one commit did to a lead is several events with the same Lead.
	Lead lead.Lead `json:"lead"`
	// Step is the step that is over, of an EventStepCompleted: a call or a message,
	// and a wait, a condition or an end too. nil otherwise.
	Step *lead.Step `json:"step,omitempty"`
	// Error is why, of an EventUnreadable.
	Error string `json:"error,omitempty"`
	// Missed is how many changes of leads the listener has not heard of between the
	// event before and the one after, of EventsMissed.
	Missed int `json:"missed,omitempty"`
}

// Listen has hear called with every event from now on, after the commit that made
// the change: in the order of the commits, those of one lead in the order in which
// they happened. stop ends that; a call that runs is not waited for.
//
// hear is called on a goroutine of its own, one call at a time, with nothing held;
// it may call every method of the engine but Shutdown. A panic of it is logged, and
// it is called with the next event. In a [Stepped] engine Settle calls it, as it
// calls handlers.
//
// A slow listener holds nothing up. One that is more than [MaxBehind] changes
// behind misses what comes until it has caught up, and is told so by an
// EventsMissed in its place: read from the engine what became of the leads that
// matter. Events are in memory: what has not been heard when the process ends is
// lost. Shutdown returns when all was heard, or when its ctx ends.
func (e *Engine) Listen(hear func(Event)) (stop func()) {
	return e.run.Listen(func(changes []run.Change, missed int) {
		if err := e.run.ReadContacts(changes); err != nil {
			e.log.Error("leadflow: a listener misses events because the store cannot be read", slog.Any("error", err))
			missed += len(changes)
			changes = nil
		}
		for i := range changes {
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

// tell calls a listener; a panic of it is not a dead process.
func (e *Engine) tell(hear func(Event), event Event) {
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("leadflow: a listener panicked", slog.Any("panic", p),
				slog.String("event", string(event.Type)), slog.String("stack", string(debug.Stack())))
		}
	}()
	hear(event)
}

// eventsOf returns what has happened to a lead, in order.
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
