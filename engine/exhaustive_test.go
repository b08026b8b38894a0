//go:build !race

package engine

import (
	"flag"
	"fmt"
	"testing"

	"github.com/leadflow-go/leadflow/lead"
)

var exhaustiveHook = flag.Bool("exhaustive.hook", false,
	"have TestEveryInterleavingOfARemovalKeepsThePromises search with a completion hook too, which takes a minute or so")

// The search tries, in every state that one lead with two attempts can be in,
// every event: a batch, the call of a handler and the arrival of each answer
// that it can give, removal with and without SkipRetries (any number of times),
// pause, resume, cancel, callbacks that agree, differ or name another attempt,
// the next due time, the end of the process between any two events and right
// after any commit, and its recovery (any number of times too). Nothing is
// bounded but the workflow: the states run out by themselves.
//
// It is one goroutine's work, so the race detector would only make it slow.
func TestEveryInterleavingOfARemovalKeepsThePromises(t *testing.T) {
	if testing.Short() {
		t.Skip("takes tens of seconds")
	}
	for _, tt := range []struct {
		name                string
		kind                searchKind
		states, transitions int
		long                bool
	}{
		{"without hooks", searchKind{}, 7878, 131312, false},
		{"with a hook", searchKind{hook: true}, 18661, 313917, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.long && !*exhaustiveHook {
				t.Skip("not without -exhaustive.hook")
			}
			s := &search{kind: tt.kind, most: 50_000}
			err := s.run()
			t.Logf("%d states, %d transitions", len(s.states), s.transitions)
			if err != nil {
				t.Fatal(err)
			}
			if s.done != len(s.states) {
				t.Errorf("%d states of %d have been left", len(s.states)-s.done, len(s.states))
			}
			if len(s.states) != tt.states || s.transitions != tt.transitions {
				t.Errorf("the protocol has other states than it had: want %d and %d transitions; if that is meant, change the numbers here",
					tt.states, tt.transitions)
			}
			s.report(t)
		})
	}
}

// report prints how many states were visited, by the lead's.
func (s *search) report(t *testing.T) {
	t.Helper()
	up, down, deepest := map[lead.State]int{}, map[lead.State]int{}, 0
	for i, st := range s.states {
		deepest = max(deepest, len(s.path(i)))
		if st.down {
			down[st.state]++
		} else {
			up[st.state]++
		}
	}
	table := fmt.Sprintf("%-16s %8s %14s", "", "running", "process down")
	for _, state := range lead.States() {
		if up[state]+down[state] == 0 {
			t.Errorf("no lead was ever %s", state)
		}
		table += fmt.Sprintf("\n%-16s %8d %14d", state, up[state], down[state])
	}
	t.Logf("%s\nthe farthest is %d events away", table, deepest)
}
