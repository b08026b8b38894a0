package lead

import (
	"fmt"
	"strings"
)

// State is the state of a lead in the [Machine]. The zero State is invalid.
type State uint8

// The five states of a lead. Removed and Completed are final.
const (
	// Enrolled: the lead waits at a node, for a due time, a free worker or an
	// active workflow. It has no step in flight.
	Enrolled State = iota + 1
	// InStep: a step is in flight: it has started, and its outcome is not on record
	// yet or its completion hooks still run.
	InStep
	// PendingRemoval: removal was asked for while a step was in flight.
	PendingRemoval
	// Removed: taken out of the workflow. Final.
	Removed
	// Completed: reached the end of the workflow. Final.
	Completed
)

var stateNames = [...]string{
	Enrolled:       "enrolled",
	InStep:         "in_step",
	PendingRemoval: "pending_removal",
	Removed:        "removed",
	Completed:      "completed",
}

// States returns the five states in the order in which they are declared.
func States() []State {
	return []State{Enrolled, InStep, PendingRemoval, Removed, Completed}
}

// Final reports whether a lead in this state can never change again.
func (s State) Final() bool { return s == Removed || s == Completed }

// InFlight reports whether a step of a lead in this state is in flight.
func (s State) InFlight() bool { return s == InStep || s == PendingRemoval }

func (s State) String() string { return nameOf(stateNames[:], s, "State") }

// MarshalText writes the state's name. An invalid State is an error.
func (s State) MarshalText() ([]byte, error) { return marshalName(stateNames[:], s, "state") }

// UnmarshalText reads a state's name; the error lists the valid ones.
func (s *State) UnmarshalText(text []byte) error {
	return unmarshalName(stateNames[:], s, text, "state")
}

// ParseState reads a state's name, such as "in_step"; the error is an [InvalidError]
// that lists the valid ones.
func ParseState(name string) (State, error) {
	var s State
	err := s.UnmarshalText([]byte(name))
	return s, err
}

// The enumerations of this package are small integers, stored as such, with
// names for people and JSON; the zero value of each is invalid.

func nameOf[T ~uint8](names []string, v T, kind string) string {
	if int(v) < len(names) && names[v] != "" {
		return names[v]
	}
	return fmt.Sprintf("%s(%d)", kind, v)
}

func marshalName[T ~uint8](names []string, v T, kind string) ([]byte, error) {
	if int(v) < len(names) && names[v] != "" {
		return []byte(names[v]), nil
	}
	return nil, invalid("lead: invalid %s %d", kind, v)
}

func unmarshalName[T ~uint8](names []string, v *T, text []byte, kind string) error {
	for i, name := range names {
		if name != "" && name == string(text) {
			*v = T(i)
			return nil
		}
	}
	var known []string
	for _, name := range names {
		if name != "" {
			known = append(known, name)
		}
	}
	return invalid("lead: invalid %s %.40q; must be one of %s", kind, text, strings.Join(known, ", "))
}
