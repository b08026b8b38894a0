package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/store"
)

func findWorkflow(list []store.Workflow, seq int64) (at int, found bool) {
	return slices.BinarySearchFunc(list, seq, func(w store.Workflow, seq int64) int { return cmp.Compare(w.Seq, seq) })
}

// withWorkflows returns the workflows as they are after a batch, and changes nothing.
// Workflows are few, so copying all of them is simpler than undoing changes.
func (c *contents) withWorkflows(batch []store.Workflow) ([]store.Workflow, error) {
	if len(batch) == 0 {
		return c.workflows, nil
	}
	list := slices.Clone(c.workflows)
	for _, w := range batch {
		at, found := findWorkflow(list, w.Seq)
		switch {
		case w.Version == 1 && (found || !c.numbers.reserved(store.WorkflowSequence, w.Seq)):
			return nil, refused("workflow", 0, w.Seq, errNumber)
		case w.Version != 1 && (!found || list[at].Version != w.Version-1):
			return nil, &store.ConflictError{Kind: "workflow", Seq: w.Seq}
		case slices.ContainsFunc(list, func(other store.Workflow) bool { return other.ID == w.ID && other.Seq != w.Seq }):
			return nil, refused("workflow", 0, w.Seq, errors.New("another workflow has its id"))
		}
		w.Definition = bytes.Clone(w.Definition)
		if found {
			list[at] = w
		} else {
			list = slices.Insert(list, at, w)
		}
	}
	return list, nil
}

// Workflows implements [store.WorkflowReader].
func (s *Store) Workflows(ctx context.Context) ([]store.Workflow, error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read workflows: %w", err)
	}
	defer s.stopReading()
	list := slices.Clone(c.workflows)
	for i := range list {
		list[i].Definition = bytes.Clone(list[i].Definition)
	}
	return list, nil
}
