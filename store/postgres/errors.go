package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
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

// failed looks at an error for what it says about all connections: a server that has
// become read-only is not the one to write to any more, and the name may lead to
// another by now.
func (s *Store) failed(err error) {
	if codeOf(err) == readOnly {
		s.readers.Reset()
		s.loop.Reset()
	}
}
