package sqlite

import (
	"context"

	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table workflows.
const (
	insertWorkflowText = `
		INSERT INTO workflows (version, id, status, name, description, definition, created, updated, deleted, seq)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updateWorkflowText = `
		UPDATE workflows SET version = ?, id = ?, status = ?, name = ?, description = ?, definition = ?,
			created = ?, updated = ?, deleted = ?
		WHERE seq = ? AND version = ?`
	workflowsText = `
		SELECT seq, id, version, status, name, description, definition, created, updated, deleted
		FROM workflows ORDER BY seq`
)

func (w *writer) putWorkflow(f *store.Workflow) error {
	deleted := int64(0)
	if f.Deleted {
		deleted = 1
	}
	bind := func(s *stmt) *stmt {
		return s.ints(f.Version).blob(f.ID[:]).ints(int64(f.Status)).text(f.Name).text(f.Description).blob(f.Definition).
			ints(int64(f.Created), int64(f.Updated), deleted, f.Seq)
	}
	if f.Version == 1 {
		_, err := bind(w.insertWorkflow).exec()
		return unwritten(workflowRow(f.Seq), err)
	}
	n, err := bind(w.updateWorkflow).ints(f.Version - 1).exec()
	if err == nil && n != 1 {
		return &store.ConflictError{Kind: "workflow", Seq: f.Seq}
	}
	return unwritten(workflowRow(f.Seq), err)
}

func workflowRow(seq int64) store.RowError { return store.RowError{Kind: "workflow", Key: seq} }

func scanWorkflow(from row, f *store.Workflow) error {
	var deleted int64
	err := from.scan(&f.Seq, (*[16]byte)(&f.ID), &f.Version, (*uint8)(&f.Status), &f.Name, &f.Description, &f.Definition,
		(*int64)(&f.Created), (*int64)(&f.Updated), &deleted)
	f.Deleted = deleted != 0
	return named(workflowRow(f.Seq), err)
}

// Workflows implements [store.WorkflowReader].
func (s *Store) Workflows(ctx context.Context) ([]store.Workflow, error) {
	return read(ctx, s, s.lanes.point, "workflows", rows(scanWorkflow, workflowsText))
}
