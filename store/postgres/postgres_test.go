package postgres_test

import (
	"testing"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// server returns the URL of the server under test.
func server(t testing.TB) string {
	t.Helper()
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	return pgtest.URL()
}

// schema returns the name of a schema that is dropped after the test.
func schema(t testing.TB) string {
	t.Helper()
	server(t)
	return pgtest.Schema(t)
}

func open(t testing.TB, o postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), server(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	options := map[store.Store]postgres.Options{}
	storetest.Run(t, storetest.Factory{
		Open: func(t *testing.T) store.Store {
			o := postgres.Options{Schema: schema(t)}
			s := open(t, o)
			options[s] = o
			return s
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			if err := s.(*postgres.Store).Close(); err != nil {
				t.Fatal(err)
			}
			next := open(t, options[s])
			options[next] = options[s]
			return next
		},
	})
}

func TestSharedContract(t *testing.T) {
	storetest.RunShared(t, storetest.SharedFactory{Open: func(t *testing.T) [2]store.Shared {
		o := postgres.Options{Schema: schema(t)}
		return [2]store.Shared{open(t, o), open(t, o)}
	}})
}
