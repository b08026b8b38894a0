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

The copy is the database as of one moment, in one file, and complete when it appears. The server
need not be stopped, nor asked: the command reads the database itself. FILE must not exist.`,
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
		Use: "restore FILE", Short: "Make a database of a backup", Args: wants(1, 1, "needs the name of one backup"),
		Long: `Make a database of a backup: the file that --db names, which must not exist yet. The backup stays as
it is. The database is read to its end and opened before the command says that it is there.

What happened after the backup was made is not in it: people who were called or removed since are
due again as they were then. Look through them before you start the server.`,
	}
	db := command.Flags().String("db", "leads.db", "make this SQLite `file`, which must not exist")
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

// restore makes the database at path of a backup, or leaves nothing behind.
func restore(ctx context.Context, backup, path string) (err error) {
	// What SQLite keeps beside a database would be taken for a part of the new one.
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
