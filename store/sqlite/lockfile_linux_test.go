package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/store"
)

// Promise 12, whatever the file is called and whoever has removed the lock beside
// it.
func TestAFileHasOneOwnerWhateverItsName(t *testing.T) {
	dir := t.TempDir()
	path, link, moved := filepath.Join(dir, "leads.db"), filepath.Join(dir, "hard.db"), filepath.Join(dir, "moved.db")
	s := openTest(t, path)
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	refused := func(path string) {
		t.Helper()
		locked(t, path)
		if out, err := command(t, ownerPath, path).CombinedOutput(); err == nil || !strings.Contains(string(out), ErrLocked.Error()) {
			t.Errorf("another process: %s, %v", out, err)
		}
	}
	refused(link)
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	refused(path)
	refused(link)
	put(t, s)
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	refused(moved)
	// No other file takes the place of this one while its log is there: not a new
	// one, and not one that exists.
	refused(path)
	gone(t, s, "renamed")
	if err := os.Rename(closed(t, openTest(t, filepath.Join(t.TempDir(), "other.db"))), path); err != nil {
		t.Fatal(err)
	}
	refused(path)
	gone(t, s, "replaced")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := countWorkflows(t, moved); n != 1 {
		t.Errorf("%d workflows, want 1", n)
	}
	// Nobody who was refused left something behind.
	for _, name := range names(t, dir) {
		if strings.HasPrefix(name, "hard.db-") || strings.HasPrefix(name, "moved.db-") {
			t.Errorf("%s was left behind", name)
		}
	}
}

// A process that closes a descriptor of a file loses its locks on it, by which
// SQLite tells other programs that the file is in use.
func TestWhoIsRefusedTakesNoLocksAway(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "leads.db"), filepath.Join(dir, "hard.db")
	s := openTest(t, path)
	put(t, s)
	locks := func() (n int) {
		t.Helper()
		all := string(must(os.ReadFile("/proc/locks")))
		for line := range strings.Lines(all) {
			if strings.Contains(line, "POSIX") && strings.Contains(line, fmt.Sprintf(":%d ", idOf(must(os.Stat(path))).inode)) {
				n++
			}
		}
		return n
	}
	before := locks()
	if before == 0 {
		t.Skip("the system does not tell of locks here")
	}
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	locked(t, path)
	locked(t, link)
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	locked(t, path)
	if err := Backup(t.Context(), path, filepath.Join(dir, "copy.db")); err != nil {
		t.Fatal(err)
	}
	if after := locks(); after != before {
		t.Errorf("SQLite has %d locks on the file, and had %d", after, before)
	}
	put(t, s)
	if n := len(filesInUse.of); n == 0 {
		t.Error("nobody uses a file")
	}
	closed(t, s)
	if use := filesInUse.of[idOf(must(os.Stat(path)))]; use != nil {
		t.Errorf("still in use: %+v", use)
	}
}

func TestAnErrorSaysWhoHasTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	child, end := owner(t, path)
	if lockHolder(path) == 0 {
		t.Skip("the system does not tell here")
	}
	if err := refused(t, path); !strings.Contains(err.Error(), fmt.Sprintf("(it is process %d)", child.Process.Pid)) {
		t.Errorf("got %v, want process %d", err, child.Process.Pid)
	}
	end.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	openTest(t, path)
	if err := refused(t, path); !strings.Contains(err.Error(), "(it is this process") {
		t.Errorf("got %v", err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// A backup that is under way when its file's owner leaves keeps its locks.
func TestDescriptorsAreClosedWhenNobodyUsesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	id := idOf(must(os.Stat(path)))
	done := useFile(must(os.Stat(path)))
	if err := own.release(); err != nil {
		t.Fatal(err)
	}
	use := filesInUse.of[id]
	if use == nil || len(use.spare) != 1 || use.spare[0].Fd() == ^uintptr(0) {
		t.Fatalf("the owner's descriptor was closed: %+v", use)
	}
	// The lock is free all the same.
	again, err := acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := acquire(path); !errors.Is(err, ErrLocked) {
		t.Errorf("two owners: %v", err)
	}
	if err := errors.Join(again.release(), done()); err != nil {
		t.Error(err)
	}
	if filesInUse.of[id] != nil || use.spare[0].Fd() != ^uintptr(0) {
		t.Error("descriptors are left open")
	}
}

func TestAFailedOpeningLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "leads.db")
	if err := os.Mkdir(path+"-wal", 0o700); err != nil { // SQLite can make no log
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), path, Options{}); err == nil {
		s.Close()
		t.Fatal("it was opened")
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("files left behind: %q", got)
	}
	if err := os.Remove(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, path)
	if _, err := s.Commit(t.Context(), &store.Batch{Ping: true}); err != nil {
		t.Error(err)
	}
}
