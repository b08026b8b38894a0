//go:build linux

package engine_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// BenchmarkSuppression suppresses a file of 100,000 phone numbers in no order, and enrolls
// as many others from a file, in turns and in the same database.
func BenchmarkSuppression(b *testing.B) {
	r := openRig(b, filepath.Join(b.TempDir(), "leads.db"), noop)
	defer r.close(b)
	r.start(b)
	suppressInTurns(b, r.Engine, r.create(b, inSteps(1)))
}

// BenchmarkPostgresSuppression is BenchmarkSuppression on a database of PostgreSQL.
func BenchmarkPostgresSuppression(b *testing.B) {
	needPostgres(b)
	r := openPostgres(b, pgtest.Schema(b), 1, noop)
	defer r.close(b)
	suppressInTurns(b, r.engines[0], r.create(b, inSteps(1)))
}

func suppressInTurns(b *testing.B, eng *engine.Engine, wf lead.WorkflowID) {
	b.Helper()
	const rows = 100_000
	next := 0
	file := func() *bytes.Reader {
		var text bytes.Buffer
		text.WriteString("phone_number,reason\n")
		for _, i := range rand.Perm(rows) {
			fmt.Fprintf(&text, "+4930%08d,said stop\n", next+i)
		}
		next += rows
		return bytes.NewReader(text.Bytes())
	}
	var suppressing, enrolling time.Duration
	for b.Loop() {
		list, leads := file(), file()
		began := time.Now()
		suppressed, err := eng.SuppressCSV(background, list, engine.Suppress{})
		suppressing += time.Since(began)
		if err != nil || suppressed.Added != rows {
			b.Fatal(suppressed, err)
		}
		began = time.Now()
		enrolled, err := eng.EnrollCSV(background, wf, leads)
		enrolling += time.Since(began)
		if err != nil || enrolled.Enrolled != rows {
			b.Fatal(enrolled, err)
		}
	}
	b.ReportMetric(float64(b.N)*rows/suppressing.Seconds(), "suppressions/s")
	b.ReportMetric(float64(b.N)*rows/enrolling.Seconds(), "leads/s")
	b.ReportMetric(enrolling.Seconds()/suppressing.Seconds(), "ratio")
}
