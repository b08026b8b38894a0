// Package raw writes rows as fast as the SQLite driver takes them: prepared
// statements on one connection of the driver's own, with the durability of a
// [sqlite.Store], and nothing around them. Benchmarks measure against it in the
// same run, on the same disk. Only tests import it.
//
// There are two limits. [Lean] is the least that a step can cost: one UPDATE of
// five integers by key and one INSERT, without an index. [Own] writes the rows,
// tables and indexes of package sqlite, which shows what a store and an engine
// add to them.
package raw

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	moderncsqlite "modernc.org/sqlite"
)

// conn is a connection with its prepared statements. Like database/sql it uses
// the driver's interfaces, but neither pools nor converts.
type conn struct {
	driver.Conn
	stmts      []driver.Stmt
	begin, end *stmt
	err        error // the first
}

type stmt struct {
	conn *conn
	driver.StmtExecContext
	args []driver.NamedValue
}

func open(path string) (*conn, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(FULL)", "cache_size(-65536)", "temp_store(MEMORY)",
		"journal_size_limit(67108864)",
	}}.Encode()}
	connector, err := moderncsqlite.NewConnector(name.String())
	if err != nil {
		return nil, err
	}
	opened, err := connector.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: opened}
	c.begin, c.end = c.prepare(`BEGIN IMMEDIATE`), c.prepare(`COMMIT`)
	return c, nil
}

func (c *conn) prepare(text string) *stmt {
	s := &stmt{conn: c}
	if c.err != nil {
		return s
	}
	prepared, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(context.Background(), text)
	if err != nil {
		c.err = fmt.Errorf("raw: %w in %s", err, text)
		return s
	}
	c.stmts = append(c.stmts, prepared)
	s.StmtExecContext = prepared.(driver.StmtExecContext)
	return s
}

func (s *stmt) exec(args ...any) {
	if s.conn.err != nil {
		return
	}
	s.args = s.args[:0]
	for i, arg := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	_, s.conn.err = s.ExecContext(context.Background(), s.args)
}

func (c *conn) close() error {
	errs := []error{c.err}
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.Conn.Close())...)
}
