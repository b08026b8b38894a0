package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/store"
)

// gone commits what must be refused because the file is gone, and Ping too.
func gone(t *testing.T, s *Store, word string) {
	t.Helper()
	b := store.Batch{Workflows: []store.Workflow{workflow(t, s)}}
	for _, b := range []*store.Batch{&b, {Ping: true}} {
		_, err := s.Commit(context.Background(), b)
		if !errors.Is(err, ErrFileGone) || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), s.path) {
			t.Errorf("got %v, want ErrFileGone, with %q", err, word)
		}
	}
}

func put(t *testing.T, s *Store) {
	t.Helper()
	if _, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{workflow(t, s)}}); err != nil {
		t.Fatal(err)
	}
}

func onlyWhereOpenFilesMove(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a file that is open can be neither removed nor renamed")
	}
}

func TestNothingIsCommittedToAFileThatIsGone(t *testing.T) {
	onlyWhereOpenFilesMove(t)
	const removed, replaced = "was removed or renamed", "was replaced by another file"
	for name, c := range map[string]struct {
		do   func(path string) error
		word string
		undo func(path string) error // brings it back, if that is possible
	}{
		"the file is removed":    {func(path string) error { return os.Remove(path) }, removed, nil},
		"the log is removed":     {func(path string) error { return os.Remove(path + "-wal") }, removed, nil},
		"the file and all of it": {removeAll, removed, nil},
		"the file is renamed": {
			func(path string) error { return os.Rename(path, path+".moved") }, removed,
			func(path string) error { return os.Rename(path+".moved", path) },
		},
		"the log is renamed": {
			func(path string) error { return os.Rename(path+"-wal", path+".moved") }, removed,
			func(path string) error { return os.Rename(path+".moved", path+"-wal") },
		},
		"the directory is renamed": {
			func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".moved") }, removed,
			func(path string) error { return os.Rename(filepath.Dir(path)+".moved", filepath.Dir(path)) },
		},
		"the file is replaced": {
			func(path string) error {
				return errors.Join(os.Rename(path, path+".moved"), os.WriteFile(path, nil, 0o600))
			}, replaced,
			func(path string) error { return os.Rename(path+".moved", path) },
		},
		"a copy takes its place": {
			func(path string) error {
				text, err := os.ReadFile(path)
				return errors.Join(err, os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path))
			}, replaced, nil,
		},
		"the log is replaced": {
			func(path string) error {
				return errors.Join(os.Rename(path+"-wal", path+".moved"), os.WriteFile(path+"-wal", nil, 0o600))
			}, replaced,
			func(path string) error { return os.Rename(path+".moved", path+"-wal") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "leads.db")
			s, err := Open(t.Context(), path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			put(t, s)
			put(t, s)
			if err := c.do(path); err != nil {
				t.Fatal(err)
			}
			gone(t, s, c.word)
			// What was committed can still be read.
			if list, err := s.Workflows(t.Context()); err != nil || len(list) != 2 {
				t.Errorf("%d workflows, %v", len(list), err)
			}
			if c.undo == nil {
				return
			}
			if err := c.undo(path); err != nil {
				t.Fatal(err)
			}
			put(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if n := countWorkflows(t, path); n != 3 {
				t.Errorf("%d workflows after it came back, want 3", n)
			}
		})
	}
}

// removeAll is rm leads.db*.
func removeAll(path string) error {
	found, err := filepath.Glob(path + "*")
	for _, name := range found {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

func TestARenamedFileHasEverythingWhenItsOwnerIsClosed(t *testing.T) {
	onlyWhereOpenFilesMove(t)
	dir := t.TempDir()
	path, moved := filepath.Join(dir, "leads.db"), filepath.Join(dir, "moved.db")
	s := openTest(t, path)
	put(t, s)
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	gone(t, s, "renamed")
	locked(t, moved)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := countWorkflows(t, moved); n != 1 {
		t.Errorf("%d workflows, want 1", n)
	}
}

// The log of a process that was killed has its latest commits. SQLite would remove
// it where the database has been moved away from it.
func TestALogWithoutItsDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	path, moved := filepath.Join(dir, "leads.db"), filepath.Join(dir, "moved.db")
	child, _ := owner(t, path)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait() // says that it was killed
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	if err := refused(t, path); !strings.Contains(err.Error(), path+"-wal has commits of a database that is not there") {
		t.Errorf("got %v", err)
	}
	if err := os.Rename(path+"-wal", moved+"-wal"); err != nil {
		t.Fatal(err)
	}
	if n := countWorkflows(t, moved); n != 1 {
		t.Errorf("%d workflows, want 1", n)
	}
	openTest(t, path) // and now it is free for another
}

// Whoever had the file before, and is closed at last, takes nothing away from the
// one who has the new file.
func TestTheOwnerOfAFileThatIsGoneLeavesTheNewOneAlone(t *testing.T) {
	onlyWhereOpenFilesMove(t)
	path := filepath.Join(t.TempDir(), "leads.db")
	old := openTest(t, path)
	put(t, old)
	if err := removeAll(path); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, path)
	put(t, s)
	gone(t, old, "replaced")
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	locked(t, path)
	put(t, s)
	if got := names(t, filepath.Dir(path)); len(got) != 4 {
		t.Errorf("files %q, want the database, -wal, -shm and .lock", got)
	}
	child := killedCopy(t, path)
	if n := countWorkflows(t, child); n != 2 {
		t.Errorf("%d workflows on disk, want 2", n)
	}
}

// killedCopy copies a file with its log, as they would be if the process were
// killed.
func killedCopy(t *testing.T, path string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "leads.db")
	for _, suffix := range []string{"-wal", ""} {
		// Not this process: to read the file, and close it, would drop its locks.
		if out, err := command(t, copyPath, path+suffix+"\n"+copied+suffix).CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}
	return copied
}
