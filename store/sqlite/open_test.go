package sqlite

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// refused opens a path that must be refused and returns the error.
func refused(t *testing.T, path string) error {
	t.Helper()
	s, err := Open(t.Context(), path, Options{})
	if err == nil {
		s.Close()
		t.Fatalf("%s was opened", path)
	}
	if !strings.HasPrefix(err.Error(), "sqlite: open "+path+": ") {
		t.Errorf("error %q does not begin with the path", err)
	}
	return err
}

// exec makes a database as another program would.
func exec(t *testing.T, path, text string) {
	t.Helper()
	db := plain(t, path)
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestOddPathsWork(t *testing.T) {
	for _, name := range []string{
		"a b.db", "what?.db", "q?mode=memory&x=y", "no#1.db", "100%.db", "%41.db", "a+b&c=d;e.db", "ä☎.db", "'\"`.db", "file:x.db", "\\",
	} {
		t.Run(url.PathEscape(name), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			for range 2 {
				s := openTest(t, path)
				w := workflow(t, s)
				if _, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{w}}); err != nil {
					t.Fatal(err)
				}
				list, err := s.Workflows(t.Context())
				if err != nil || list[len(list)-1].Seq != w.Seq {
					t.Errorf("got %d workflows, %v", len(list), err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if got := names(t, dir); len(got) != 1 || got[0] != name {
				t.Errorf("files %q, want %q", got, name)
			}
		})
	}
}

func TestRelativePathWorks(t *testing.T) {
	t.Chdir(t.TempDir())
	openTest(t, "leads.db").Close()
	if _, err := os.Stat("leads.db"); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	if err := refused(t, filepath.Join(dir, "no", "such", "leads.db")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("missing directory: %v", err)
	}
	for _, path := range []string{"", ":memory:", dir, filepath.Join(file, "leads.db"), filepath.Join(dir, "dangling"), "a\x00b"} {
		refused(t, path)
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("files left behind: %q", got)
	}
}

func TestWhatIsNoDatabaseIsRefusedAndKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "leads.csv")
	text := strings.Repeat("+14155552671,Ada\n", 1000)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := refused(t, path); !strings.Contains(err.Error(), "not a database") {
		t.Errorf("got %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("the file was changed: %v", err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("files left behind: %q", got)
	}
}

func TestACutFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	openTest(t, path).Close()
	for _, size := range []int64{50, 600, 4096} {
		if err := os.Truncate(path, size); err == nil {
			refused(t, path)
		} else {
			t.Fatal(err)
		}
		os.Remove(path)
		openTest(t, path).Close()
	}
}

func TestForeignDatabasesAreRefusedAndKept(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		id   int32
	}{
		"another id":      {`PRAGMA application_id = 77; CREATE TABLE t (x)`, 77},
		"only another id": {`PRAGMA application_id = -5`, -5},
		"no id":           {`CREATE TABLE t (x)`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "other.db")
			exec(t, path, c.text)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var foreign *ForeignError
			if err := refused(t, path); !errors.As(err, &foreign) || foreign.ApplicationID != c.id {
				t.Errorf("got %v", err)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("the file was changed: %v", err)
			}
			if got := names(t, filepath.Dir(path)); len(got) != 1 {
				t.Errorf("files left behind: %q", got)
			}
		})
	}
}

func TestANewerSchemaIsRefusedAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	openTest(t, path).Close()
	texts, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	exec(t, path, `PRAGMA user_version = 1000`)
	var newer *VersionError
	if err := refused(t, path); !errors.As(err, &newer) || *newer != (VersionError{Version: 1000, Known: len(texts)}) ||
		!strings.Contains(err.Error(), "upgrade") {
		t.Errorf("got %v", err)
	}
}

func TestMigrationsAreNumberedAndRunOnce(t *testing.T) {
	list, err := fs.Glob(migrationFiles, "migrations/*")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range list {
		if want := string(rune('0'+(i+1)/10)) + string(rune('0'+(i+1)%10)); !strings.HasPrefix(name, "migrations/00"+want+"_") {
			t.Errorf("%s is number %d", name, i+1)
		}
	}

	// A file of an older version is brought up, one migration after the other; one
	// that fails leaves the file as the one before it left it.
	db, err := openDB(filepath.Join(t.TempDir(), "leads.db"), writerParams(Options{}), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	version := func() (id, version int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), `SELECT * FROM pragma_application_id, pragma_user_version`).Scan(&id, &version); err != nil {
			t.Fatal(err)
		}
		return id, version
	}
	texts := []string{`CREATE TABLE a (x);`, `CREATE TABLE b (x); INSERT INTO a VALUES (1);`, `CREATE TABLE c (x); SELECT broken;`}
	for n := 1; n <= 2; n++ {
		if err := migrateDB(t.Context(), db, texts[:n]); err != nil {
			t.Fatal(err)
		}
		if id, v := version(); id != applicationID || v != n {
			t.Errorf("application_id %#x, user_version %d, want %d", id, v, n)
		}
	}
	if err := migrateDB(t.Context(), db, texts); err == nil || !strings.Contains(err.Error(), "schema 3") {
		t.Errorf("got %v", err)
	}
	if _, v := version(); v != 2 {
		t.Errorf("user_version %d after a migration that failed, want 2", v)
	}
	var tables int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil || tables != 2 {
		t.Errorf("%d tables, %v", tables, err)
	}
}

func TestAFileSystemWithoutAWriteAheadLogIsRefused(t *testing.T) {
	db, err := openDB("/leads", url.Values{"mode": {"memory"}}, 1) // in memory there is none
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := migrateDB(t.Context(), db, nil); err == nil || !strings.Contains(err.Error(), "journal mode is memory") {
		t.Errorf("got %v", err)
	}
}

func TestPragmasAreInForce(t *testing.T) {
	for want, opts := range map[int]Options{2: {}, 1: {Synchronous: Normal}} {
		s, err := Open(t.Context(), filepath.Join(t.TempDir(), "leads.db"), opts)
		if err != nil {
			t.Fatal(err)
		}
		text := `SELECT journal_mode = 'wal', synchronous FROM pragma_journal_mode, pragma_synchronous`
		if got := onWriter(t, s, text); len(got) != 1 || got[0][0] != "1" || got[0][1] != strconv.Itoa(want) {
			t.Errorf("WAL mode and synchronous: %v, want 1 and %d", got, want)
		}
		for _, l := range []lane{s.lanes.loop, s.lanes.facts, s.lanes.point, s.lanes.long} {
			err = l.use(t.Context(), func(conn *zombiezen.Conn) error { return run(conn, `DELETE FROM leads`) })
			if err == nil {
				t.Error("a reader can write")
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "leads.db"), Options{Synchronous: 9}); err == nil {
		t.Error("an unknown Synchronous was taken")
	}
}

func TestCloseLeavesOneFileAndEndsTheStore(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, filepath.Join(dir, "leads.db"))
	if _, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{workflow(t, s)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Workflows(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 4 {
		t.Errorf("while open: files %q, want the database, -wal, -shm and .lock", got)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := names(t, dir); len(got) != 1 || got[0] != "leads.db" {
		t.Errorf("after Close: files %q", got)
	}
	calls := map[string]func() error{
		"Commit":     func() error { _, err := s.Commit(t.Context(), &store.Batch{}); return err },
		"Reserve":    func() error { _, err := s.Reserve(t.Context(), store.LeadSequence, 1); return err },
		"Load":       func() error { _, err := s.Load(t.Context(), nil); return err },
		"Sweep":      func() error { _, err := s.Sweep(t.Context(), store.LeadQuery{Workflow: 1}); return err },
		"Contacts":   func() error { _, err := s.Contacts(t.Context(), nil); return err },
		"Steps":      func() error { _, err := s.Steps(t.Context(), nil); return err },
		"Payloads":   func() error { _, err := s.Payloads(t.Context(), 1, nil); return err },
		"Due":        func() error { _, err := s.Due(t.Context(), store.Key{}, 1, 1); return err },
		"Lead":       func() error { _, err := s.Lead(t.Context(), 1); return err },
		"Leads":      func() error { _, err := s.Leads(t.Context(), store.LeadQuery{Workflow: 1}); return err },
		"CountLeads": func() error { _, err := s.CountLeads(t.Context(), store.LeadQuery{Workflow: 1}); return err },
		"Counts":     func() error { _, err := s.Counts(t.Context(), 1); return err },
		"NodeCounts": func() error { _, err := s.NodeCounts(t.Context(), 1); return err },
		"History":    func() error { _, _, _, err := s.History(t.Context(), 1); return err },
		"Calls":      func() error { _, err := s.Calls(t.Context(), store.CallQuery{}); return err },
		"Workflows":  func() error { _, err := s.Workflows(t.Context()); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
}
