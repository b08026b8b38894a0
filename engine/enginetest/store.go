package enginetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// ownStore opens the store of a world that was given none.
func ownStore() (store.Store, func() error, error) {
	dir, err := os.MkdirTemp("", "enginetest")
	if err != nil {
		return nil, nil, err
	}
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "leads.db"), sqlite.Options{Synchronous: sqlite.Normal})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, func() error { return errors.Join(s.Close(), os.RemoveAll(dir)) }, nil
}
