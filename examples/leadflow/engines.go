package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
)

func (p *program) enginesCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "engines", Short: "List the servers that share a PostgreSQL database", Args: wants(0, 0, "takes no arguments"),
		Long: `List the engines that have a place in the PostgreSQL database that --db names: each server has one.
An engine acts on the leads of its shards, of which there are 64 in all. Its lease is extended all the
time; when it has run out, the others take over its shards. The table shows what is left of it.`,
		Example: `  leadflow engines --db postgres://leadflow@db.example.com/leadflow`,
	}
	db := command.Flags().String("db", "", "the `URL` of the database")
	command.RunE = func(command *cobra.Command, _ []string) error {
		if !isURL(*db) {
			return usage("--db must be the URL of a PostgreSQL database, such as postgres://leadflow@db.example.com/leadflow; a SQLite file has one server at a time")
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		list, err := postgres.Engines(ctx, *db, postgres.Options{Schema: postgresSchema})
		if err != nil {
			return err
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(p.stdout, "No engine is running. Start one by leadflow serve with the same --db.")
			return err
		}
		table := newTable(p.stdout)
		fmt.Fprintln(table, "ENGINE\tNAME\tSTATUS\tLEASE LEFT\tSHARDS\tSINCE")
		for _, e := range list {
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", e.Engine, cell(e.Name), engineStatus(e), leaseLeft(e.Lease), shardText(e.Shards), moment(e.Joined))
		}
		return table.Flush()
	}
	return command
}

func engineStatus(e store.EngineInfo) string {
	switch {
	case e.Lease <= 0:
		return "silent"
	case e.Takes:
		return "working"
	}
	return "stopping"
}

func leaseLeft(d time.Duration) string {
	if d <= 0 {
		return "none"
	}
	return d.Round(100 * time.Millisecond).String()
}

// shardText is like "22: 0-20, 63".
func shardText(list []int16) string {
	if len(list) == 0 {
		return "none"
	}
	var parts []string
	for i := 0; i < len(list); {
		k := i
		for k+1 < len(list) && list[k+1] == list[k]+1 {
			k++
		}
		part := strconv.Itoa(int(list[i]))
		if k > i {
			part += "-" + strconv.Itoa(int(list[k]))
		}
		parts, i = append(parts, part), k+1
	}
	return fmt.Sprintf("%d: %s", len(list), strings.Join(parts, ", "))
}
