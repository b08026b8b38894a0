package sqlite

import (
	"context"
	"fmt"

	"github.com/leadflow-go/leadflow/lead"
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
		SELECT seq, id, version, status, coalesce(name, ''), coalesce(description, ''), definition,
			created, updated, deleted
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
		if _, err := bind(w.insertWorkflow).exec(); err != nil {
			return fmt.Errorf("workflow %d: %w", f.Seq, err)
		}
		return nil
	}
	n, err := bind(w.updateWorkflow).ints(f.Version - 1).exec()
	if err == nil && n != 1 {
		err = &store.ConflictError{Kind: "workflow", Seq: f.Seq}
	}
	return err
}

func scanWorkflow(from row, f *store.Workflow) error {
	var id []byte
	var status, deleted int64
	from.scan(&f.Seq, &id, &f.Version, &status, &f.Name, &f.Description, &f.Definition,
		(*int64)(&f.Created), (*int64)(&f.Updated), &deleted)
	f.Status, f.Deleted = lead.WorkflowStatus(status), deleted != 0
	return from.id(1, f.ID[:])
}

// Workflows implements [store.WorkflowReader].
func (s *Store) Workflows(ctx context.Context) ([]store.Workflow, error) {
	return read(ctx, s, "workflows", scanWorkflow, workflowsText)
}
