package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/storetest"
)

func openBench(b *testing.B) store.Store {
	b.Helper()
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "leads.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func BenchmarkEnroll(b *testing.B) { storetest.BenchEnroll(b, openBench) }

func BenchmarkSuppress(b *testing.B) {
	for _, has := range []int{0, 1_000_000} {
		b.Run(fmt.Sprint("has ", has), func(b *testing.B) { storetest.BenchSuppress(b, openBench(b), has) })
	}
}
