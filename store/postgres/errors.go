package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/leadflow-go/leadflow/store"
)

// Codes of PostgreSQL's errors.
const (
	uniqueViolation      = "23505"
	checkViolation       = "23514"
	divisionByZero       = "22012"
	undefinedTable       = "42P01"
	undefinedSchema      = "3F000"
	readOnly             = "25006"
	serializationFailure = "40001"
	deadlock             = "40P01"
	lockTimedOut         = "55P03"
	notPrivileged        = "42501"
	limitUsedUp          = "LF001" // of use_limits
)

func codeOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

func isUndefined(err error) bool {
	code := codeOf(err)
	return code == undefinedTable || code == undefinedSchema
}

// failed looks at an error for what it says about all connections, and returns it as
// one that matches store.ErrUnavailable if whatever else is asked fails, too. A server
// that has become read-only is not the one to write to any more, and the name may lead
// to another by now.
func (s *Store) failed(err error) error {
	var pg *pgconn.PgError
	known := errors.As(err, &pg)
	if known && pg.Code == readOnly {
		s.readers.Reset()
		s.loop.Reset()
		s.control.Reset()
	}
	var conflict *store.ConflictError
	var row *store.RowError
	switch {
	case errors.As(err, &conflict), errors.As(err, &row), errors.Is(err, store.ErrNotFound), errors.Is(err, context.Canceled),
		errors.Is(err, store.ErrBehind), errors.Is(err, store.ErrLimit), errors.Is(err, store.ErrUnavailable):
		return err
	case known && pg.Code != readOnly && !slices.ContainsFunc(unavailable, func(class string) bool { return strings.HasPrefix(pg.Code, class) }):
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// unavailable are the classes of PostgreSQL's errors that say nothing of what was asked:
// connections, other transactions, resources, an operator's intervention, the system.
var unavailable = []string{"08", "40", "53", "55P03", "57", "58"}
