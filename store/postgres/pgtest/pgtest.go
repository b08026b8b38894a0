// Package pgtest gives tests a schema of their own on the PostgreSQL server that the
// variable LEADFLOW_POSTGRES names.
package pgtest

import (
	"context"
	"crypto/rand"
	"net/url"
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
	name := newName()
	t.Cleanup(func() { drop(t, "DROP SCHEMA IF EXISTS "+name+" CASCADE") })
	return name
}

// Database makes a database that is dropped when the test is over, and returns its URL.
func Database(t TB) string {
	t.Helper()
	name := newName()
	if err := run("CREATE DATABASE " + name); err != nil {
		t.Errorf("a database for the test: %v", err)
	}
	t.Cleanup(func() { drop(t, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u, err := url.Parse(URL())
	if err != nil {
		t.Errorf("%s must be a URL: %v", Variable, err)
		return ""
	}
	u.Path = "/" + name
	return u.String()
}

func newName() string { return "leadflow_test_" + strings.ToLower(rand.Text()) }

func drop(t TB, text string) {
	t.Helper()
	if err := run(text); err != nil {
		t.Errorf("what a test made was not dropped: %v", err)
	}
}

func run(text string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, text)
	return err
}
