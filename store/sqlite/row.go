package sqlite

import (
	"errors"
	"fmt"
	"math"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// row is the row that a statement has come to, from one of its columns on.
type row struct {
	*zombiezen.Stmt
	first int
}

func (r row) from(column int) row { return row{r.Stmt, column} }

// orZero is an integer for which NULL stands for zero.
type orZero int64

// scan copies the columns, from left to right, to where dest points. A column that
// is not what this package writes there, of the type of its destination and in its
// range, leaves its destination as it was; the error of the first of them matches
// errSenseless. NULL is "" to a string, nil to bytes and 0 to orZero, and nothing
// else.
func (r row) scan(dest ...any) (err error) {
	for i, d := range dest {
		if failed := r.column(r.first+i, d); err == nil {
			err = failed
		}
	}
	return err
}

func (r row) column(i int, d any) error {
	switch d := d.(type) {
	case *int64:
		if err := r.is(i, zombiezen.TypeInteger); err != nil {
			return err
		}
		*d = r.ColumnInt64(i)
	case *int32:
		n, err := r.within(i, math.MaxInt32)
		if err != nil {
			return err
		}
		*d = int32(n)
	case *uint8:
		n, err := r.within(i, math.MaxUint8)
		if err != nil {
			return err
		}
		*d = uint8(n)
	case *orZero:
		*d = 0
		if r.ColumnType(i) == zombiezen.TypeNull {
			break
		}
		if err := r.is(i, zombiezen.TypeInteger); err != nil {
			return err
		}
		*d = orZero(r.ColumnInt64(i))
	case *string:
		*d = ""
		if r.ColumnType(i) == zombiezen.TypeNull {
			break
		}
		if err := r.is(i, zombiezen.TypeText); err != nil {
			return err
		}
		*d = r.ColumnText(i)
	case *[]byte:
		*d = nil
		if r.ColumnType(i) == zombiezen.TypeNull {
			break
		}
		if err := r.is(i, zombiezen.TypeBlob); err != nil {
			return err
		}
		if n := r.ColumnLen(i); n > 0 {
			*d = make([]byte, n)
			r.ColumnBytes(i, *d)
		}
	case *[16]byte:
		return r.fixed(i, d[:])
	case *[32]byte:
		return r.fixed(i, d[:])
	default:
		panic(fmt.Sprintf("sqlite: no column is a %T", d))
	}
	return nil
}

var typeNames = map[zombiezen.ColumnType]string{
	zombiezen.TypeInteger: "an integer",
	zombiezen.TypeFloat:   "a float",
	zombiezen.TypeText:    "text",
	zombiezen.TypeBlob:    "bytes",
	zombiezen.TypeNull:    "NULL",
}

func (r row) is(column int, want zombiezen.ColumnType) error {
	if got := r.ColumnType(column); got != want {
		return r.senseless(column, fmt.Sprintf("%s, not %s", typeNames[got], typeNames[want]))
	}
	return nil
}

// within returns an integer of at most most, and not negative.
func (r row) within(column int, most int64) (int64, error) {
	if err := r.is(column, zombiezen.TypeInteger); err != nil {
		return 0, err
	}
	n := r.ColumnInt64(column)
	if n < 0 || n > most {
		return 0, r.senseless(column, fmt.Sprint(n))
	}
	return n, nil
}

// fixed copies as many bytes as to has.
func (r row) fixed(column int, to []byte) error {
	if err := r.is(column, zombiezen.TypeBlob); err != nil {
		return err
	}
	if n := r.ColumnLen(column); n != len(to) {
		return r.senseless(column, fmt.Sprintf("%d bytes", n))
	}
	r.ColumnBytes(column, to)
	return nil
}

// senseless is the error of a column that is something else than it should be.
func (r row) senseless(column int, got string) error {
	return fmt.Errorf("%w: %s is %s", errSenseless, r.ColumnName(column), got)
}

// The names of rows, by their keys.
func leadRow(seq int64) store.RowError { return store.RowError{Kind: "lead", Seq: seq, Key: seq} }
func contactRow(seq int64) store.RowError {
	return store.RowError{Kind: "contact", Seq: seq, Key: seq}
}
func stepRow(seq int64) store.RowError        { return store.RowError{Kind: "step", Key: seq} }
func suppressionRow(seq int64) store.RowError { return store.RowError{Kind: "suppression", Key: seq} }
func auditRow(seq int64) store.RowError       { return store.RowError{Kind: "audit", Key: seq} }

// named is an error with the row that it is about; no error stays none.
func named(row store.RowError, err error) error {
	if err == nil {
		return nil
	}
	bad := row // so that row itself need not be allocated
	bad.Err = err
	return &bad
}

// errContent: a row is refused for what is in it.
var errContent = errors.New("cannot be stored")

// errNoLead: a row belongs to a lead that does not exist.
var errNoLead = fmt.Errorf("%w: the lead does not exist", errContent)

// unwritten is the error of a row that could not be written; no error stays none.
// It is a *store.RowError if that is because of the row, and not because of the
// disk, or the like.
func unwritten(row store.RowError, err error) error {
	if err == nil {
		return nil
	}
	switch zombiezen.ErrCode(err).ToPrimary() {
	case zombiezen.ResultTooBig, zombiezen.ResultConstraint, zombiezen.ResultMismatch:
		return named(row, err)
	}
	if errors.Is(err, errContent) {
		return named(row, err)
	}
	return fmt.Errorf("%s %d: %w", row.Kind, row.Key, err)
}
