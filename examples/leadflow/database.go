package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// database is a store that has to be closed.
type database interface {
	store.Store
	io.Closer
}

// postgresSchema is the schema in which the server's tables are.
const postgresSchema = "leadflow"

// isURL reports whether a --db is the URL of a PostgreSQL database, and not a file.
func isURL(db string) bool {
	return strings.HasPrefix(db, "postgres://") || strings.HasPrefix(db, "postgresql://")
}

// publicDB is what a log may have of a --db.
func publicDB(db string) string {
	if !isURL(db) {
		return db
	}
	u, err := url.Parse(db)
	if err != nil {
		return "a PostgreSQL database"
	}
	return u.Redacted()
}

// openDatabase opens the file or the database that --db names.
func (o *serveOptions) openDatabase(ctx context.Context) (database, error) {
	if isURL(o.db) {
		return postgres.Open(ctx, o.db, postgres.Options{Schema: postgresSchema, Name: o.name})
	}
	options := sqlite.Options{}
	if o.synchronous.value == "normal" {
		options.Synchronous = sqlite.Normal
	}
	return sqlite.Open(ctx, o.db, options)
}

func (p *program) migrateCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "migrate", Short: "Make or update the tables in PostgreSQL", Args: wants(0, 0, "takes no arguments"),
		Long: `Make the tables in the PostgreSQL database that --db names, or take them to the version of this
program. The server does so by itself when it starts; this is for those who want it apart, or whose
server's user may not. With --print the SQL is written for an administrator to run, and nothing is
changed. A schema that is newer than this program is refused.`,
		Example: `  leadflow migrate --db postgres://leadflow@db.example.com/leadflow
  leadflow migrate --print > leadflow.sql`,
	}
	f := command.Flags()
	db := f.String("db", "", "the `URL` of the database")
	printed := f.Bool("print", false, "write the SQL, and change nothing")
	from := f.Int("from", 0, "with --print: the `version` that the database has; 0 for none")
	command.RunE = func(command *cobra.Command, _ []string) error {
		if *printed {
			text, err := postgres.SQL(postgresSchema, *from)
			if err == nil {
				_, err = io.WriteString(p.stdout, text)
			}
			return err
		}
		if !isURL(*db) {
			return usage("--db must be the URL of a PostgreSQL database, such as postgres://leadflow@db.example.com/leadflow; a SQLite file is updated when it is opened")
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		if err := postgres.Migrate(ctx, *db, postgres.Options{Schema: postgresSchema}); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.stdout, "%s has the tables of this version.\n", publicDB(*db))
		return err
	}
	return command
}
