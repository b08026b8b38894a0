package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leadflow-go/leadflow/store"
)

// countWorkflows opens a copy as its owner would and returns how many workflows
// it has.
func countWorkflows(t *testing.T, path string) int {
	t.Helper()
	checkIntegrity(t, path)
	s := openTest(t, path)
	defer s.Close()
	list, err := s.Workflows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// Each commit writes two workflows, so a copy of one moment has an even number,
// and all that was acknowledged before it began.
func TestABackupUnderLoadIsOfOneMoment(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "leads.db")
	s := openTest(t, path)
	var committed atomic.Int64
	commit := func() error {
		pair := []store.Workflow{workflow(t, s), workflow(t, s)}
		for i := range pair {
			pair[i].Definition = []byte(strings.Repeat("x", 20_000))
		}
		_, err := s.Commit(context.Background(), &store.Batch{Workflows: pair})
		committed.Add(2)
		return err
	}
	for range 100 {
		if err := commit(); err != nil {
			t.Fatal(err)
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := commit(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	overlapped := 0
	for n := 0; overlapped < 3; n++ {
		dest := filepath.Join(dir, fmt.Sprintf("copy%d.db", n))
		before := committed.Load()
		if err := Backup(t.Context(), path, dest); err != nil {
			t.Fatal(err)
		}
		after := committed.Load()
		if after > before {
			overlapped++
		}
		got := countWorkflows(t, dest)
		if got%2 != 0 || int64(got) < before || int64(got) > after+2 {
			t.Errorf("the copy has %d workflows; %d were committed when it began and %d when it was done", got, before, after)
		}
		if info, err := os.Stat(dest); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
	close(stop)
	<-stopped
	// Nothing happened to the owner's hold on its file.
	locked(t, path)
	if err := commit(); err != nil {
		t.Error(err)
	}
	for _, name := range names(t, dir) {
		if strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, "-journal") {
			t.Errorf("%s was left behind", name)
		}
	}
}

func TestABackupOfAFileThatNobodyOwns(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "leads.db")
	s := openTest(t, path)
	if _, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{workflow(t, s)}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := Backup(t.Context(), path, filepath.Join(dir, "copy.db")); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("files %q, want the two databases", got)
	}
	if n := countWorkflows(t, filepath.Join(dir, "copy.db")); n != 1 {
		t.Errorf("%d workflows", n)
	}

	// One that was killed has its latest commits in the log.
	child, _ := owner(t, path)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait() // says that it was killed
	t.Chdir(dir)
	if err := Backup(t.Context(), "leads.db", "after.db"); err != nil {
		t.Fatal(err)
	}
	if n := countWorkflows(t, filepath.Join(dir, "after.db")); n != 2 {
		t.Errorf("%d workflows, want the killed owner's too", n)
	}
}

func TestABackupOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	path, taken, link := filepath.Join(dir, "leads.db"), filepath.Join(dir, "taken"), filepath.Join(dir, "link")
	openTest(t, path)
	if err := os.WriteFile(taken, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	before := names(t, dir)
	for _, dest := range []string{taken, link, path, dir} {
		if err := Backup(t.Context(), path, dest); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v, want fs.ErrExist", dest, err)
		}
	}
	// Nor does it when the file comes while it is at work.
	if err := nameFile(path, taken); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(taken); err != nil || string(text) != "precious" {
		t.Errorf("the file was changed: %q, %v", text, err)
	}
	if after := names(t, dir); len(after) != len(before) {
		t.Errorf("files %q, before %q", after, before)
	}
}

func TestABackupOfWhatIsNoDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	dest := filepath.Join(dir, "copy.db")
	text, empty, foreign, newer := filepath.Join(dir, "text"), filepath.Join(dir, "empty"), filepath.Join(dir, "foreign.db"), filepath.Join(dir, "newer.db")
	for name, content := range map[string]string{text: strings.Repeat("no database ", 1000), empty: ""} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, foreign, `PRAGMA application_id = 77; CREATE TABLE t (x)`)
	openTest(t, newer).Close()
	exec(t, newer, `PRAGMA user_version = 1000`)
	before := names(t, dir)
	is := func(target error) func(error) bool {
		return func(err error) bool { return errors.Is(err, target) }
	}
	for path, want := range map[string]func(error) bool{
		filepath.Join(dir, "none.db"):        is(fs.ErrNotExist),
		filepath.Join(dir, "no", "leads.db"): is(fs.ErrNotExist),
		"":                                   func(err error) bool { return strings.Contains(err.Error(), "path of a file") },
		dir:                                  func(err error) bool { return strings.Contains(err.Error(), "not a regular file") },
		empty:                                func(err error) bool { return strings.Contains(err.Error(), "empty") },
		text:                                 func(err error) bool { return strings.Contains(err.Error(), "not a database") },
		foreign:                              func(err error) bool { var e *ForeignError; return errors.As(err, &e) },
		newer:                                func(err error) bool { var e *VersionError; return errors.As(err, &e) },
	} {
		err := Backup(t.Context(), path, dest)
		if err == nil || !want(err) || !strings.HasPrefix(err.Error(), "sqlite: back up "+path+": ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	good := filepath.Join(dir, "newer.db")
	exec(t, good, `PRAGMA user_version = 1`)
	for _, dest := range []string{"", filepath.Join(dir, "no", "such", "copy.db")} {
		if err := Backup(t.Context(), good, dest); err == nil {
			t.Errorf("%q was written to", dest)
		}
	}
	if after := names(t, dir); len(after) != len(before) {
		t.Errorf("files %q, before %q", after, before)
	}
}

func TestACancelledBackupLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "leads.db")
	s := openTest(t, path)
	for range 20 {
		w := workflow(t, s)
		w.Definition = make([]byte, 1<<20)
		if _, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{w}}); err != nil {
			t.Fatal(err)
		}
	}
	before := names(t, dir)
	why := errors.New("enough")
	for _, when := range []string{"before", "during"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		if when == "before" {
			cancel(why)
		} else {
			go func() {
				for ctx.Err() == nil { // until the copy grows
					found, _ := filepath.Glob(filepath.Join(dir, ".copy.db.*.tmp"))
					if len(found) == 1 {
						if info, err := os.Stat(found[0]); err == nil && info.Size() > 0 {
							cancel(why)
							return
						}
					}
				}
			}()
		}
		if err := Backup(ctx, path, filepath.Join(dir, "copy.db")); !errors.Is(err, why) {
			t.Errorf("%s: %v, want the cause", when, err)
		}
		cancel(nil)
		if after := names(t, dir); len(after) != len(before) {
			t.Errorf("%s: files %q, before %q", when, after, before)
		}
	}
}
