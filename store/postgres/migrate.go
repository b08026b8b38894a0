package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Each file of migrations takes the schema one version further; the names are in
// order, and the number of a name is the version it leads to. A migration that was
// released is never edited.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// VersionError refuses a schema that is newer, or older, than this program knows.
type VersionError struct {
	Version int // of the schema in the database; 0 if there is none
	Known   int // the newest version that this program knows
}

func (e *VersionError) Error() string {
	if e.Version < e.Known {
		return fmt.Sprintf("the schema has version %d, and this program needs %d: call postgres.Migrate, run leadflow migrate, or have your "+
			"administrator run what postgres.SQL returns", e.Version, e.Known)
	}
	return fmt.Sprintf("the schema was made by a newer version of leadflow (%d, this program knows %d): upgrade this program", e.Version, e.Known)
}

func migrations() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(names))
	for i, name := range names {
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		texts[i] = string(text)
	}
	return texts, nil
}

// migrationLock is the advisory lock under which a schema is changed: "lflw".
const migrationLock = 0x6c666c77

const versionTable = `CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)`

// SQL returns the statements that take a schema of that name from the version to the
// newest, for those whose database administrator runs them. Version 0 is nothing at
// all: the schema is made, too.
func SQL(schema string, from int) (string, error) {
	texts, err := migrations()
	if err != nil {
		return "", err
	}
	if from < 0 || from > len(texts) {
		return "", &VersionError{from, len(texts)}
	}
	var b strings.Builder
	name := pgx.Identifier{schema}.Sanitize()
	fmt.Fprintf(&b, "BEGIN;\nSELECT pg_advisory_xact_lock(%d);\nCREATE SCHEMA IF NOT EXISTS %s;\nSET LOCAL search_path = %s;\n%s;\n",
		migrationLock, name, name, versionTable)
	for _, text := range texts[from:] {
		b.WriteString(text)
	}
	fmt.Fprintf(&b, "DELETE FROM schema_version;\nINSERT INTO schema_version VALUES (%d);\nCOMMIT;\n", len(texts))
	return b.String(), nil
}

// Migrate makes the schema, or takes it to the newest version, in one transaction.
// Several processes may do so at the same time. A schema that is newer than this
// program is a *VersionError.
func Migrate(ctx context.Context, url string, opts Options) (err error) {
	opts = opts.withDefaults()
	c, err := opts.parse(url)
	if err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, c.ConnConfig)
	if err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := migrate(ctx, conn, opts.Schema); err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	return nil
}

func migrate(ctx context.Context, conn *pgx.Conn, schema string) error {
	texts, err := migrations()
	if err != nil {
		return err
	}
	if version, err := schemaVersion(ctx, conn); err == nil && version == len(texts) {
		return nil // which needs no right to make anything
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		name := pgx.Identifier{schema}.Sanitize()
		// Whoever waits here for another process may wait longer than for anything else.
		for _, text := range []string{
			"SET LOCAL lock_timeout = 0", "SET LOCAL statement_timeout = 0",
			fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", migrationLock),
			"CREATE SCHEMA IF NOT EXISTS " + name, "SET LOCAL search_path = " + name, versionTable,
		} {
			if _, err := tx.Exec(ctx, text); err != nil {
				return err
			}
		}
		version, err := schemaVersion(ctx, tx)
		if err != nil {
			return err
		}
		if version > len(texts) {
			return &VersionError{version, len(texts)}
		}
		for _, text := range texts[version:] {
			if _, err := tx.Exec(ctx, text, pgx.QueryExecModeSimpleProtocol); err != nil { // which takes several statements
				return err
			}
		}
		if _, err := tx.Exec(ctx, "DELETE FROM schema_version"); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO schema_version VALUES ($1)", len(texts))
		return err
	})
}

type querier interface {
	QueryRow(ctx context.Context, text string, args ...any) pgx.Row
}

// schemaVersion returns the version of the schema in the search path, 0 for an empty
// one.
func schemaVersion(ctx context.Context, q querier) (version int, err error) {
	err = q.QueryRow(ctx, "SELECT version FROM schema_version").Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return version, err
}
