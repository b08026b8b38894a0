package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

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
		if err := sqlite.Backup(ctx, *db, args[0]); err != nil {
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
	if err := sqlite.Backup(ctx, backup, path); err != nil {
		return err
	}
	db, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the copy cannot be opened: %w", err), os.Remove(path))
	}
	return nil
}

func sizeOf(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return byteText(info.Size()), nil
}
