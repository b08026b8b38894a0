package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// readStatements are the questions whose text is always the same. The pool
// prepares them on each connection once.
type readStatements struct {
	records, contacts, due, lead, counts, steps, workflows *sql.Stmt
}

func (r *readStatements) prepare(ctx context.Context, db *sql.DB) error {
	for _, p := range []struct {
		statement **sql.Stmt
		text      string
	}{
		{&r.records, recordsText},
		{&r.contacts, contactsText},
		{&r.due, dueText},
		{&r.lead, leadText},
		{&r.counts, countsText},
		{&r.steps, historyText},
		{&r.workflows, workflowsText},
	} {
		var err error
		if *p.statement, err = db.PrepareContext(ctx, p.text); err != nil {
			return fmt.Errorf("%w in %s", err, p.text)
		}
	}
	return nil
}

func (r *readStatements) close() error {
	var errs []error
	for _, statement := range []*sql.Stmt{r.records, r.contacts, r.due, r.lead, r.counts, r.steps, r.workflows} {
		if statement != nil {
			errs = append(errs, statement.Close())
		}
	}
	return errors.Join(errs...)
}

// collect reads all rows of a query that has just been made, with its error.
func collect[T any](what string, rows *sql.Rows, err error, scan func(scanner, *T) error) ([]T, error) {
	list, err := collectRows(rows, err, scan)
	if err != nil {
		return nil, fmt.Errorf("sqlite: read %s: %w", what, err)
	}
	return list, nil
}

func collectRows[T any](rows *sql.Rows, err error, scan func(scanner, *T) error) (list []T, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var item T
		if err := scan(rows, &item); err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, rows.Err()
}
