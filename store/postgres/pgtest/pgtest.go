// Package pgtest gives tests a schema of their own on the PostgreSQL server that the
// variable LEADFLOW_POSTGRES names.
package pgtest

import (
	"context"
	"crypto/rand"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Variable is the name of the environment's variable with the URL of a server.
const Variable = "LEADFLOW_POSTGRES"

// Missing is what a test says that is skipped because there is no server.
const Missing = "needs a PostgreSQL server: set " + Variable + " to its URL, or run it by .ci/postgres"

// URL returns the URL of the server, "" if there is none.
func URL() string { return os.Getenv(Variable) }

// TB is the part of testing.TB that Schema uses; rapid.T has it too.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// Schema returns the name of a schema that nobody else uses, and that is dropped when
// the test is over.
func Schema(t TB) string {
	t.Helper()
	name := "leadflow_test_" + strings.ToLower(rand.Text())
	t.Cleanup(func() {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, URL())
		if err == nil {
			defer conn.Close(ctx)
			_, err = conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+name+" CASCADE")
		}
		if err != nil {
			t.Errorf("the schema of a test was not dropped: %v", err)
		}
	})
	return name
}
