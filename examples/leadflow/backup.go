package main

import (
	"context"
	"fmt"
	"os"

	"github.com/leadflow-go/leadflow/store/sqlite"
)

var backupCommand = command{
	name:    "backup",
	args:    "FILE",
	summary: "copy the database while it is in use",
	details: `The copy is the database as of one moment, in one file, and complete when it appears. The server
need not be stopped, nor asked: the command reads the database itself. FILE must not exist.`,
	define: func(f *flags) func(context.Context, *program, []string) error {
		db := f.String("db", "leads.db", "back up this SQLite `file`")
		return func(ctx context.Context, p *program, args []string) error {
			if len(args) != 1 {
				return usage("needs the name of one file, and got %q", args)
			}
			ctx, stop := p.interruptible(ctx)
			defer stop()
			if err := sqlite.Backup(ctx, *db, args[0]); err != nil {
				return err
			}
			info, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "%s is backed up to %s (%s).\n", *db, args[0], byteText(info.Size()))
			return err
		}
	},
}
