//go:build !race

package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// search visits every state that the events of a world lead to, breadth first:
// the path by which a state was found is a shortest one.
type search struct {
	root        *searchRoot
	kind        searchKind
	states      []*searchState
	byDigest    map[string]int
	transitions int
	done        int // states of which every event has been tried
	most        int // states, at which a search that does not end is given up
	world       *searchWorld
}

// searchState is a state and the first way to it.
type searchState struct {
	digest string
	state  lead.State
	down   bool
	rests  bool // nothing happens until somebody does something
	parked bool // it rests in a workflow that is not active
	parent int
	event  searchEvent // by which it was come to from its parent
	along  int         // the state to which time alone leads; -1 before it is known
}

// searchFault is a broken promise and the shortest way to it.
type searchFault struct {
	path   []searchEvent
	faults []string
}

func (f *searchFault) Error() string {
	var b strings.Builder
	for i, ev := range f.path {
		fmt.Fprintf(&b, "\n%3d. %s", i+1, ev)
	}
	return strings.Join(f.faults, "\n") + "\nafter:" + b.String()
}

// path returns how a state is come to.
func (s *search) path(state int) (events []searchEvent) {
	for ; s.states[state].parent >= 0; state = s.states[state].parent {
		events = append(events, s.states[state].event)
	}
	slices.Reverse(events)
	return events
}

func (s *search) fault(from int, ev searchEvent, faults ...string) error {
	return &searchFault{append(s.path(from), ev), faults}
}

// play returns a world to which those events have happened.
func (s *search) play(events []searchEvent) (*searchWorld, error) {
	w, err := newSearchWorld(s.root, s.kind)
	if err != nil {
		return nil, err
	}
	for _, ev := range events {
		w.happen(ev)
	}
	return w, nil
}

// run searches until there is no state left of which an event has not been
// tried.
func (s *search) run() error {
	var err error
	if s.root, err = newSearchRoot(); err != nil {
		return err
	}
	w, err := s.play(nil)
	if err != nil {
		return err
	}
	s.byDigest = map[string]int{}
	s.found(w, -1, searchEvent{})
	for ; s.done < len(s.states); s.done++ {
		if len(s.states) > s.most {
			return fmt.Errorf("more than %d states, %d done; the last was come to by %v:\n%s",
				s.most, s.done, s.path(len(s.states)-1), s.states[len(s.states)-1].digest)
		}
		if err := s.expand(s.done); err != nil {
			return err
		}
	}
	return s.followTime()
}

// found returns the number of the state that a world is in.
func (s *search) found(w *searchWorld, parent int, ev searchEvent) int {
	digest := w.digest()
	if n, known := s.byDigest[digest]; known {
		return n
	}
	r, _ := w.entry()
	s.byDigest[digest] = len(s.states)
	s.states = append(s.states, &searchState{
		digest: digest, state: r.State, down: w.eng == nil, parent: parent, event: ev, along: -1,
		parked: r.Phase == store.PhaseWaiting && w.status() != lead.WorkflowActive,
	})
	return len(s.states) - 1
}

// expand tries every event of a state.
func (s *search) expand(from int) error {
	path := s.path(from)
	w, err := s.play(path)
	if err != nil {
		return err
	}
	if got := w.digest(); got != s.states[from].digest {
		return fmt.Errorf("the same events have led to another state: %v\n%s\n%s", path, got, s.states[from].digest)
	}
	s.world = w
	along, events := w.timeAlone(), w.enabled()
	s.states[from].rests = along.what == ""
	crashed := -1
	if w.eng != nil {
		if crashed, err = s.try(from, path, searchEvent{what: "crash"}); err != nil {
			return err
		}
	}
	for _, ev := range events {
		to, err := s.try(from, path, ev)
		if err != nil {
			return err
		}
		if ev == along {
			s.states[from].along = to
		}
		answers, commits := s.world.answers, s.world.gateCommits
		if len(answers) > 0 {
			for _, answer := range answers[1:] {
				ev.answer = answer
				if _, err := s.try(from, path, ev); err != nil {
					return err
				}
			}
			ev.answer = ""
		}
		for die := range commits {
			ev.die = die + 1
			if _, err := s.try(from, path, ev); err != nil {
				return err
			}
		}
		if ev.die = 0; commits > 0 && (ev.what == "remove" || ev.what == "callback completed") {
			ev.dieBefore = true
			to, err := s.try(from, path, ev)
			if err != nil {
				return err
			}
			ev.dieBefore = false
			if to != crashed {
				return s.fault(from, ev, "promise 1: what was not committed is not undone:\n"+s.states[to].digest+s.states[crashed].digest)
			}
		}
	}
	return nil
}

// try has an event happen to a world in a state, and holds what comes of it
// against the promises. It leaves that world in s.world.
func (s *search) try(from int, path []searchEvent, ev searchEvent) (to int, err error) {
	w := s.world
	if w.moved {
		if w, err = s.play(path); err != nil {
			return 0, err
		}
		s.world = w
	}
	w.faults = nil
	was := w.look()
	w.happen(ev)
	w.checkSince(&was)
	to = s.found(w, from, ev)
	s.transitions++
	if len(w.faults) > 0 {
		return 0, s.fault(from, ev, w.faults...)
	}
	// A world in which nothing has changed is as good as a new one.
	w.moved = to != from
	return to, nil
}

// timeAlone is the event that comes when nobody asks for anything and no
// handler ever answers; its zero value when there is none.
func (w *searchWorld) timeAlone() searchEvent {
	hook := slices.IndexFunc(w.held, func(h searchHeld) bool { return h.key == "" })
	switch {
	case w.eng == nil:
		return searchEvent{what: "recover"}
	case w.queued() > 0:
		return searchEvent{what: "call"}
	case w.eng.stepped.ready():
		return searchEvent{what: "turn"}
	case hook >= 0: // a hook returns, or is left behind
		return searchEvent{what: "arrive", index: hook}
	case w.next() != 0:
		return searchEvent{what: "tick"}
	}
	return searchEvent{}
}

// followTime checks promises 4 and 10 for every state: if nobody does anything,
// and no handler ever answers, the lead still comes to its end, and a removal
// that is pending to removed; but for a lead that waits in a workflow that is
// not active.
func (s *search) followTime() error {
	for n := range s.states {
		at := n
		for range len(s.states) {
			st := s.states[at]
			if st.state.Final() || st.rests {
				break
			}
			if at = st.along; at < 0 {
				return fmt.Errorf("it is not known what time alone does after %v", s.path(n))
			}
		}
		begin, end := s.states[n], s.states[at]
		switch {
		case begin.state == lead.PendingRemoval && end.state != lead.Removed:
			return &searchFault{s.path(n), []string{"promise 4: time alone does not end the removal:\n" + end.digest}}
		case !end.state.Final() && !(end.rests && end.parked && end.state == lead.Enrolled):
			return &searchFault{s.path(n), []string{"promise 10: time alone leaves the lead stuck:\n" + end.digest}}
		}
	}
	return nil
}
