package core

import (
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/store"
)

// Guard watches the outcomes of a workflow's last steps that had attempts. It begins anew
// with the process, and when the workflow is resumed.
type Guard struct {
	says    *workflow.Guard
	bad     []bool // of the last steps, in a ring
	next    int
	full    bool
	count   int // of those that are bad
	tripped bool
}

// NewGuard returns a guard that has seen nothing yet.
func NewGuard(says *workflow.Guard) *Guard { return &Guard{says: says, bad: make([]bool, says.Of)} }

// Watch takes note of a finished step. It reports, once, that too many of the last steps
// are bad, so that the workflow is to be paused, and how many they are.
func (g *Guard) Watch(s *store.Step) (count int, tripped bool) {
	if s.Attempts == 0 {
		return 0, false
	}
	if g.bad[g.next] {
		g.count--
	}
	if g.bad[g.next] = s.Outcome == g.says.Outcome; g.bad[g.next] {
		g.count++
	}
	if g.next++; g.next == len(g.bad) {
		g.next, g.full = 0, true
	}
	if !g.full || g.tripped || float64(g.count) <= g.says.Share*float64(len(g.bad)) {
		return 0, false
	}
	g.tripped = true
	return g.count, true
}
