package memory

import (
	"context"
	"fmt"

	"github.com/leadflow-go/leadflow/lead"
)

// counts is how many leads each workflow has in each state, indexed by the state.
type counts map[int64]*[256]int64

func (k counts) add(workflow int64, state lead.State, n int64) {
	states := k[workflow]
	if states == nil {
		states = new([256]int64)
		k[workflow] = states
	}
	states[state] += n
}

// Counts implements [store.LoopReader] and [store.LeadReader].
func (s *Store) Counts(ctx context.Context, workflow int64) (map[lead.State]int64, error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read counts: %w", err)
	}
	defer s.stopReading()
	return c.counts.of(workflow), nil
}

func (k counts) of(workflow int64) map[lead.State]int64 {
	found := make(map[lead.State]int64)
	if states := k[workflow]; states != nil {
		for state, n := range states {
			if n != 0 {
				found[lead.State(state)] = n
			}
		}
	}
	return found
}
