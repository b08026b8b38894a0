package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
)

// applicationID is in the header of every file of this package: "lflw".
const applicationID = 0x6c666c77

// Each file of migrations takes the schema one version further; the names are
// in order, and the number of a name is the version it leads to. A migration
// that was released is never edited.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

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

// VersionError refuses a file whose schema is newer than this program knows.
type VersionError struct {
	Version int // of the file's schema
	Known   int // the newest version that this program knows
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("written by a newer version of leadflow (schema %d, this program knows %d): "+
		"upgrade this program, or restore the backup made before the other one ran", e.Version, e.Known)
}

// ForeignError refuses a database that is not leadflow's.
type ForeignError struct {
	ApplicationID int32 // as the file's header has it; 0 if none is set
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("a database of another program (application_id %#x, leadflow's is %#x): "+
		"give the path of a leadflow database, or of a file that does not exist yet",
		uint32(e.ApplicationID), uint32(applicationID))
}

// inspect refuses a file that is not for this version of the package. It
// changes nothing in it: a connection with the pragmas of the writer would turn
// any database to WAL mode first.
func inspect(ctx context.Context, path string, known int) error {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return refuseStrayLog(path)
	}
	db, err := openDB(path, url.Values{"mode": {"rw"}, "_pragma": {busyPragma}}, 1)
	if err != nil {
		return err
	}
	return errors.Join(checkHeader(ctx, db, known), db.Close())
}

// refuseStrayLog refuses a log whose database is not there: SQLite would remove
// it, and with it the latest commits of a file that was moved without it.
func refuseStrayLog(path string) error {
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		return nil
	}
	return fmt.Errorf("%s-wal has commits of a database that is not there: put the database back beside it, "+
		"or move the -wal file to where the database is, or remove it if it is not needed", path)
}

func checkHeader(ctx context.Context, db *sql.DB, known int) error {
	var id int32
	var version, objects int
	err := db.QueryRowContext(ctx, `
		SELECT (SELECT application_id FROM pragma_application_id),
		       (SELECT user_version FROM pragma_user_version),
		       (SELECT count(*) FROM sqlite_schema)`).Scan(&id, &version, &objects)
	switch {
	case err != nil:
		return err
	case id == 0 && objects == 0 && version == 0: // a database that nobody has used
		return nil
	case id != applicationID:
		return &ForeignError{ApplicationID: id}
	case version > known:
		return &VersionError{Version: version, Known: known}
	}
	return nil
}

// migrate runs the migrations that the file has not seen, each in a transaction
// of its own.
func migrate(ctx context.Context, path string, texts []string) error {
	db, err := openDB(path, writerParams(Options{}), 1)
	if err != nil {
		return err
	}
	return errors.Join(migrateDB(ctx, db, texts), db.Close())
}

func migrateDB(ctx context.Context, db *sql.DB, texts []string) error {
	var version int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	// Asked for in the DSN, and refused without an error where it cannot be.
	var mode string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("journal mode is %s, for the file system has no write-ahead log: use a local disk", mode)
	}
	ctx = context.WithoutCancel(ctx) // see Commit
	for ; version < len(texts); version++ {
		if err := migrateTo(ctx, db, version+1, texts[version]); err != nil {
			return fmt.Errorf("migrate to schema %d: %w", version+1, err)
		}
	}
	return nil
}

func migrateTo(ctx context.Context, db *sql.DB, version int, text string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing after a commit
	header := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, version)
	for _, text := range []string{text, header} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return tx.Commit()
}
