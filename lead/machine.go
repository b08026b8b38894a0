package lead

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/looplab/fsm"
)

// Event is what happens to a lead.
type Event string

// The events of the machine.
const (
	EventStart    Event = "start"    // a step's first attempt starts
	EventRetry    Event = "retry"    // an attempt failed and the next one is queued
	EventComplete Event = "complete" // the step in flight has its outcome and its hooks have run
	EventFinish   Event = "finish"   // the lead reached a terminal node, or has no edge to follow
	EventRemove   Event = "remove"   // removal was asked for
)

// Events returns all events, in the order in which they are declared.
func Events() []Event {
	return []Event{EventStart, EventRetry, EventComplete, EventFinish, EventRemove}
}

// transitions is the only declaration of the machine: the states of a lead and
// the events that lead from one to the next. Everything else is derived from it.
var transitions = fsm.Events{
	{Name: string(EventStart), Src: names(Enrolled), Dst: InStep.String()},
	{Name: string(EventRetry), Src: names(InStep), Dst: InStep.String()},
	{Name: string(EventRetry), Src: names(PendingRemoval), Dst: PendingRemoval.String()},
	{Name: string(EventComplete), Src: names(InStep), Dst: Enrolled.String()},
	{Name: string(EventComplete), Src: names(PendingRemoval), Dst: Removed.String()},
	{Name: string(EventFinish), Src: names(Enrolled), Dst: Completed.String()},
	{Name: string(EventRemove), Src: names(Enrolled), Dst: Removed.String()},
	{Name: string(EventRemove), Src: names(InStep), Dst: PendingRemoval.String()},
	{Name: string(EventRemove), Src: names(PendingRemoval), Dst: PendingRemoval.String()},
}

func names(states ...State) []string {
	out := make([]string, len(states))
	for i, s := range states {
		out[i] = s.String()
	}
	return out
}

// TransitionError is the machine's refusal: the event is not possible in the
// state. It matches [ErrConflict], and for a final state also [ErrLeadFinal]; but if the
// state or the event is invalid, it matches only [ErrInvalid].
type TransitionError struct {
	State State
	Event Event
}

func (e *TransitionError) Error() string {
	return fmt.Sprintf("lead: no %s from state %s", e.Event, e.State)
}

// Is reports whether target is one of the errors that e matches; see TransitionError.
func (e *TransitionError) Is(target error) bool {
	known := slices.Contains(States(), e.State) && slices.Contains(Events(), e.Event)
	switch target {
	case ErrLeadFinal:
		return known && e.State.Final()
	case ErrConflict:
		return known
	}
	return target == ErrInvalid && !known
}

// Machine decides how an event changes the state of a lead. It holds no lead's
// state, so one machine serves any number of leads. It is safe for concurrent use.
// Use [NewMachine]; the zero Machine refuses every event.
type Machine struct {
	// to caches the table's answer for each state and event: asking fsm takes a
	// microsecond, and every step needs two answers.
	to [len(stateNames)]map[Event]State
}

// NewMachine returns a machine over the one transition table.
func NewMachine() *Machine {
	m, table := &Machine{}, newTable()
	for _, from := range States() {
		m.to[from] = make(map[Event]State)
		for _, event := range Events() {
			if to, ok := decide(table, from, event); ok {
				m.to[from][event] = to
			}
		}
	}
	return m
}

func newTable() *fsm.FSM { return fsm.NewFSM(Enrolled.String(), transitions, nil) }

// decide returns the state to which the table takes a lead.
func decide(table *fsm.FSM, from State, event Event) (State, bool) {
	table.SetState(from.String())
	// fsm v1.0.3 stays wedged when the context passed to Event is cancelled
	// (issue 115), so no caller's context is passed to it.
	err := table.Event(context.Background(), string(event))
	var same fsm.NoTransitionError
	if err != nil && (!errors.As(err, &same) || same.Err != nil) {
		return from, false
	}
	to, err := ParseState(table.Current())
	return to, err == nil
}

// Fire returns the state to which event takes a lead in state from, or a
// *TransitionError. Some events leave the state as it is, which is no error.
func (m *Machine) Fire(from State, event Event) (State, error) {
	if int(from) < len(m.to) {
		if to, ok := m.to[from][event]; ok {
			return to, nil
		}
	}
	return from, &TransitionError{State: from, Event: event}
}

// Diagram returns the machine as a Mermaid state diagram, generated from the
// transition table.
func Diagram() string {
	text, err := fsm.VisualizeForMermaidWithGraphType(newTable(), fsm.StateDiagram)
	if err != nil { // only for an unknown graph type
		panic("lead: " + err.Error())
	}
	return text
}
