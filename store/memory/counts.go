package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
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

// NodeCounts implements [store.LeadReader]. It scans all leads.
func (s *Store) NodeCounts(ctx context.Context, workflow int64) ([]store.NodeCount, error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read counts: %w", err)
	}
	defer s.stopReading()
	n := map[store.NodeCount]int64{}
	for _, row := range c.matching(store.LeadQuery{Workflow: workflow}) {
		n[store.NodeCount{Node: row.node, State: row.state}]++
	}
	var list []store.NodeCount
	for at := range n {
		list = append(list, store.NodeCount{Node: at.Node, State: at.State, N: n[at]})
	}
	slices.SortFunc(list, func(a, b store.NodeCount) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.State, b.State))
	})
	return list, nil
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
