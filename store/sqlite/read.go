package sqlite

import (
	"context"
	"errors"
	"fmt"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// query reads all rows of a query. Those that scan refuses with a
// *store.RowError are left out, and returned as store.RowErrors.
func query[T any](conn *zombiezen.Conn, scan func(row, *T) error, text string, args ...any) ([]T, error) {
	return queryUpTo(conn, maxRows, scan, text, args...)
}

// maxRows is more than any query has.
const maxRows = int(^uint(0) >> 1)

// queryUpTo is query for at most so many rows, those that are left out not
// counted.
func queryUpTo[T any](conn *zombiezen.Conn, limit int, scan func(row, *T) error, text string, args ...any) (list []T, err error) {
	s, err := conn.Prepare(text)
	if err != nil {
		return nil, err
	}
	defer func() {
		if resetErr := s.Reset(); err == nil {
			err = resetErr
		}
	}()
	bind(s, args)
	var bad store.RowErrors
	for len(list) < limit {
		more, err := s.Step()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		list = append(list, *new(T))
		if err := scan(row{Stmt: s}, &list[len(list)-1]); err != nil {
			list = list[:len(list)-1]
			var refused *store.RowError
			if !errors.As(err, &refused) {
				return nil, err
			}
			bad = append(bad, refused)
		}
	}
	if bad != nil {
		return list, bad
	}
	return list, nil
}

func bind(s *zombiezen.Stmt, args []any) {
	for i, arg := range args {
		switch arg := arg.(type) {
		case int64:
			s.BindInt64(i+1, arg)
		case int:
			s.BindInt64(i+1, int64(arg))
		case string:
			s.BindText(i+1, arg)
		default:
			panic(fmt.Sprintf("sqlite: no argument is a %T", arg))
		}
	}
}

// read has f read on one of the connections, while the Store stays open. With
// rows that were left out f's list is returned, with any other error none.
func read[T any](ctx context.Context, s *Store, from lane, what string, f func(*zombiezen.Conn) ([]T, error)) (list []T, err error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	err = from.use(ctx, func(conn *zombiezen.Conn) (err error) {
		list, err = f(conn)
		return err
	})
	var bad store.RowErrors
	if err != nil && !errors.As(err, &bad) {
		list = nil
	}
	if err != nil {
		err = fmt.Errorf("sqlite: read %s: %w", what, advised(err))
	}
	return list, err
}

// rows is a read of all rows of one query.
func rows[T any](scan func(row, *T) error, text string, args ...any) func(*zombiezen.Conn) ([]T, error) {
	return func(conn *zombiezen.Conn) ([]T, error) { return query(conn, scan, text, args...) }
}

// snapshot has f read of one moment, because it is in one transaction.
func snapshot(conn *zombiezen.Conn, f func() error) (err error) {
	if err := run(conn, "BEGIN"); err != nil {
		return err
	}
	defer func() {
		conn.SetInterrupt(nil) // it must end, whatever ctx says
		err = errors.Join(err, run(conn, "ROLLBACK"))
	}()
	return f()
}

// eachAlone reads rows by their keys, all in one query; if SQLite gives up on
// that because of a damaged page, each in a query of its own, so that only those
// on the page are left out. name says what a row is, given its key.
func eachAlone[T any](conn *zombiezen.Conn, keys []int64, name func(int64) store.RowError, scan func(row, *T) error, text string) ([]T, error) {
	list, err := query(conn, scan, text, numbers(keys))
	if !damaged(err) {
		return list, err
	}
	list = nil
	var bad store.RowErrors
	for _, key := range sorted(keys) {
		found, err := query(conn, scan, text, numbers([]int64{key}))
		var refused store.RowErrors
		switch {
		case errors.As(err, &refused):
			bad = append(bad, refused...)
		case damaged(err):
			row := name(key)
			row.Err = err
			bad = append(bad, &row)
		case err != nil:
			return nil, err
		}
		list = append(list, found...)
	}
	if bad != nil {
		return list, bad
	}
	return list, nil
}

// damaged reports whether SQLite could not make sense of a page.
func damaged(err error) bool { return zombiezen.ErrCode(err).ToPrimary() == zombiezen.ResultCorrupt }

// alone is the error of a reader of one lead: there are no other rows.
func alone(err error) error {
	var bad store.RowErrors
	if errors.As(err, &bad) {
		return bad[0]
	}
	return err
}
