package sqlite

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// openTest opens a file that is closed with the test, which checks it over.
func openTest(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, Options{})
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
	storetest.Run(t, storetest.Factory{
		Open: func(t *testing.T) store.Store {
			path := filepath.Join(t.TempDir(), "leads.db")
			t.Cleanup(func() { checkIntegrity(t, path) }) // after it is closed
			return openTest(t, path)
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			path := s.(*Store).path
			if err := s.(*Store).Close(); err != nil {
				t.Fatal(err)
			}
			return openTest(t, path)
		},
	})
}

// plain opens a file as any other program would.
func plain(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, url.Values{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// onWriter runs a statement on the writer's connection, with NULL for every
// argument, and returns its rows.
func onWriter(t *testing.T, s *Store, text string) (list [][]string) {
	t.Helper()
	prepared, _, err := s.writer.conn.PrepareTransient(text)
	if err != nil {
		t.Fatal(err)
	}
	defer prepared.Finalize()
	for {
		more, err := prepared.Step()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return list
		}
		row := make([]string, prepared.ColumnCount())
		for i := range row {
			row[i] = prepared.ColumnText(i)
		}
		list = append(list, row)
	}
}

func checkIntegrity(t *testing.T, path string) {
	t.Helper()
	db := plain(t, path)
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(context.Background(), `PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check of %s: %q, %v", path, verdict, err)
	}
	var orphans int
	err := db.QueryRowContext(context.Background(), `
		SELECT (SELECT count(*) FROM contacts WHERE seq NOT IN (SELECT seq FROM leads))
		     + (SELECT count(*) FROM live WHERE lead NOT IN (SELECT seq FROM leads))
		     + (SELECT count(*) FROM steps WHERE lead NOT IN (SELECT seq FROM leads))
		     + (SELECT count(*) FROM payloads WHERE key >> 22 NOT IN (SELECT seq FROM leads))
		     + (SELECT count(*) FROM node_counts WHERE n < 0)
		     + (SELECT count(*) FROM external_ids WHERE lead NOT IN (SELECT seq FROM leads))
		     + (SELECT count(*) FROM leads WHERE spot >> 3 != CASE WHEN phase IN (2, 5) THEN 0 ELSE node + 1 END)
		     + (SELECT count(*) FROM (
				SELECT external_id, seq FROM contacts WHERE external_id IS NOT NULL EXCEPT SELECT external_id, lead FROM external_ids))
		     + (SELECT count(*) FROM (
				SELECT workflow, node, state, n FROM node_counts WHERE n != 0
				EXCEPT SELECT workflow, node, spot & 7, count(*) FROM leads GROUP BY 1, 2, 3))`).Scan(&orphans)
	if err != nil || orphans > 0 {
		t.Errorf("%s: %d rows of nobody, or that say what others do not, %v", path, orphans, err)
	}
}

// enroll commits n leads of one new workflow.
func enroll(t *testing.T, s *Store, n int) []store.Enrollment {
	t.Helper()
	w := workflow(t, s)
	list := storetest.Enrollments(t, s, w.Seq, n)
	if _, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{w}, Enroll: list}); err != nil {
		t.Fatal(err)
	}
	return list
}

// copyFile copies a file that is closed.
func copyFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "leads.db")
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

// oneGoroutine skips a test that is the work of one goroutine and takes long under the
// race detector, which can find nothing in it.
func oneGoroutine(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine has no race")
	}
}
