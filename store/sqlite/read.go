package sqlite

import (
	"context"
	"errors"
	"fmt"

	zombiezen "zombiezen.com/go/sqlite"
)

// readers are connections that only read, of the kind that writer describes.
// Whoever reads takes one out of the channel and puts it back.
type readers chan *zombiezen.Conn

func openReaders(path string, n int) (_ readers, err error) {
	pool := make(readers, n)
	defer func() {
		if err != nil {
			err = errors.Join(err, pool.close())
		}
	}()
	for range n {
		conn, err := openConn(path, "ro", zombiezen.OpenReadOnly, readerPragmas)
		if err != nil {
			return nil, err
		}
		pool <- conn
	}
	return pool, nil
}

// close closes the connections, all of which are in the pool.
func (r readers) close() error {
	var errs []error
	for len(r) > 0 {
		errs = append(errs, (<-r).Close())
	}
	return errors.Join(errs...)
}

// use has f read by a connection, which is interrupted when ctx ends.
func (r readers) use(ctx context.Context, f func(*zombiezen.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var conn *zombiezen.Conn
	select {
	case conn = <-r:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { r <- conn }()
	if ctx.Done() != nil {
		conn.SetInterrupt(ctx.Done())
		defer conn.SetInterrupt(nil)
	}
	err := f(conn)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// row is the row that a statement has come to, from one of its columns on.
type row struct {
	*zombiezen.Stmt
	first int
}

func (r row) from(column int) row { return row{r.Stmt, column} }

// scan copies the columns, from left to right, to where dest points: to an
// int64, a string or bytes. NULL is zero, "" and nil.
func (r row) scan(dest ...any) {
	for i, d := range dest {
		i += r.first
		switch d := d.(type) {
		case *int64:
			*d = r.ColumnInt64(i)
		case *string:
			*d = r.ColumnText(i)
		case *[]byte:
			*d = nil
			if n := r.ColumnLen(i); n > 0 {
				*d = make([]byte, n)
				r.ColumnBytes(i, *d)
			}
		default:
			panic(fmt.Sprintf("sqlite: no column is a %T", d))
		}
	}
}

// id copies the bytes of an id, which are as many in every sound row.
func (r row) id(column int, id []byte) error {
	if n := r.ColumnLen(column); n != len(id) {
		return fmt.Errorf("%w: an id of %d bytes", errSenseless, n)
	}
	r.ColumnBytes(column, id)
	return nil
}

// query reads all rows of a query.
func query[T any](conn *zombiezen.Conn, scan func(row, *T) error, text string, args ...any) (list []T, err error) {
	s, err := conn.Prepare(text)
	if err != nil {
		return nil, err
	}
	defer func() {
		if resetErr := s.Reset(); err == nil {
			err = resetErr
		}
	}()
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
	for {
		more, err := s.Step()
		if err != nil || !more {
			return list, err
		}
		var item T
		if err := scan(row{Stmt: s}, &item); err != nil {
			return nil, err
		}
		list = append(list, item)
	}
}

// read reads all rows of a query on a connection of its own choice.
func read[T any](ctx context.Context, s *Store, what string, scan func(row, *T) error, text string, args ...any) (list []T, err error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	err = s.readers.use(ctx, func(conn *zombiezen.Conn) (err error) {
		list, err = query(conn, scan, text, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sqlite: read %s: %w", what, advised(err))
	}
	return list, nil
}
