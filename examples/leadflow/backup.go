package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	moderncsqlite "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"github.com/leadflow-go/leadflow/store/sqlite"
)

func (p *program) backupCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "backup FILE", Short: "Copy the database while it is in use", Args: wants(1, 1, "needs the name of one file"),
		Long: `Copy the database while it is in use.

The copy is a snapshot of the database in one file, which appears when it is complete. The command
reads the database itself, while the server runs or not. FILE must not exist.`,
	}
	db := command.Flags().String("db", "leads.db", "back up this SQLite `file`")
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		if isURL(*db) {
			return usage("a PostgreSQL database is backed up by pg_dump --schema=%s, or by its server", postgresSchema)
		}
		if err := sqlite.Backup(ctx, *db, args[0]); errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: name another file, or move it away", err)
		} else if err != nil {
			return err
		}
		size, err := sizeOf(args[0])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s is backed up to %s (%s).\n", *db, args[0], size)
		return err
	}
	return command
}

func (p *program) restoreCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "restore FILE", Short: "Restore a database from a backup", Args: wants(1, 1, "needs the name of one backup"),
		Long: `Restore a database from a backup into the file that --db names, which must not exist yet. The backup is
not changed. The command checks that the restored database can be read and opened.

The backup does not know what happened after it was made: people who were called or removed since then
are due again. Check them before you start the server.`,
	}
	db := command.Flags().String("db", "leads.db", "restore into this SQLite `file`, which must not exist")
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		if isURL(*db) || isURL(args[0]) {
			return usage("a PostgreSQL database is restored by pg_restore, or by its server")
		}
		if err := restore(ctx, args[0], *db); err != nil {
			return err
		}
		size, err := sizeOf(*db)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s is restored from %s (%s). What happened after the backup is not in it.\n", *db, args[0], size)
		return err
	}
	return command
}

// restore restores a backup into path, or leaves nothing behind.
func restore(ctx context.Context, backup, path string) (err error) {
	// SQLite would take the journal of an old database for a part of the new one.
	for _, name := range []string{path, path + "-wal", path + "-journal"} {
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("%s: %w; restore overwrites nothing: move it away, or name another file with --db", name, fs.ErrExist)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := checkBackup(backup); err != nil {
		return fmt.Errorf("%w; give the path of a file that leadflow backup wrote", err)
	}
	if dir := filepath.Dir(path); !isDir(dir) {
		return fmt.Errorf("the directory %s does not exist; create it, or name another file with --db", dir)
	}
	err = sqlite.Backup(ctx, backup, path)
	if failed := (*moderncsqlite.Error)(nil); errors.As(err, &failed) && damaged(failed.Code()) {
		return fmt.Errorf("%s is damaged, or not a backup; restore another one (%w)", backup, failed)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", backup, cmp.Or(errors.Unwrap(err), err)) // without what backup says it is doing
	}
	db, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the copy cannot be opened, and was deleted again; restore another backup (%w)", err), os.Remove(path))
	}
	return nil
}

// checkBackup reports what can be seen of a backup that is none without opening it.
func checkBackup(path string) error {
	info, err := os.Stat(path)
	switch failed := (*fs.PathError)(nil); {
	case errors.As(err, &failed):
		return fmt.Errorf("%s: %w", path, failed.Err)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	case info.Size() == 0:
		return fmt.Errorf("%s is empty", path)
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// damaged reports whether SQLite's code says so.
func damaged(code int) bool {
	switch code & 0xff { // the primary code
	case sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB:
		return true
	}
	return false
}

func sizeOf(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return byteText(info.Size()), nil
}
