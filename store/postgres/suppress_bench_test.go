package postgres_test

import (
	"testing"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/storetest"
)

func BenchmarkEnroll(b *testing.B) {
	storetest.BenchEnroll(b, func(b *testing.B) store.Store { return open(b, postgres.Options{Schema: schema(b)}) })
}

func BenchmarkSuppress(b *testing.B) {
	storetest.BenchSuppress(b, open(b, postgres.Options{Schema: schema(b)}), 500)
}
