package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// ownerPath names, in the environment of a child process, the file to own.
const ownerPath = "SQLITE_TEST_OWNER_PATH"

// children are what the test binary does instead of tests, by the variable that
// names the file to do it with.
var children = map[string]func(path string) error{ownerPath: own}

func TestMain(m *testing.M) {
	for name, child := range children {
		if path := os.Getenv(name); path != "" {
			if err := child(path); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// command is the test binary as a child process that does that.
func command(t *testing.T, name, path string) *osexec.Cmd {
	t.Helper()
	child := osexec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), name+"="+path)
	return child
}

// copyPath has a child copy a file: two paths, one a line.
const copyPath = "SQLITE_TEST_COPY_PATH"

func init() {
	children[copyPath] = func(paths string) error {
		from, to, _ := strings.Cut(paths, "\n")
		text, err := os.ReadFile(from)
		return errors.Join(err, os.WriteFile(to, text, 0o600))
	}
}

// own is the child process: it opens the file, commits, says so, and keeps the
// file until its standard input ends.
func own(path string) error {
	s, err := Open(context.Background(), path, Options{})
	if err != nil {
		return err
	}
	id, err := lead.NewWorkflowID()
	if err != nil {
		return err
	}
	seq, err := s.Reserve(context.Background(), store.WorkflowSequence, 1)
	if err != nil {
		return err
	}
	w := store.Workflow{Seq: seq, ID: id, Version: 1, Status: lead.WorkflowDraft}
	if _, err := s.Commit(context.Background(), &store.Batch{Workflows: []store.Workflow{w}}); err != nil {
		return err
	}
	fmt.Println("committed")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Close()
}

// owner starts a child process that owns the file.
func owner(t *testing.T, path string) (child *osexec.Cmd, end io.Closer) {
	t.Helper()
	child = command(t, ownerPath, path)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "committed\n" {
		t.Fatalf("child: %q, %v", line, err)
	}
	return child, stdin
}

func workflow(t *testing.T, s *Store) store.Workflow {
	t.Helper()
	id, err := lead.NewWorkflowID()
	if err != nil {
		t.Fatal(err)
	}
	seq, err := s.Reserve(t.Context(), store.WorkflowSequence, 1)
	if err != nil {
		t.Fatal(err)
	}
	return store.Workflow{Seq: seq, ID: id, Version: 1, Status: lead.WorkflowActive}
}

func locked(t *testing.T, path string) {
	t.Helper()
	if err := refused(t, path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v, want ErrLocked", err)
	}
}

func TestASecondOwnerInTheProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	path, link, dirLink := filepath.Join(dir, "leads.db"), filepath.Join(dir, "link.db"), filepath.Join(dir, "here")
	s := openTest(t, path)
	for name, target := range map[string]string{link: "leads.db", dirLink: "."} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		locked(t, path)
		locked(t, link)
		locked(t, filepath.Join(dirLink, "leads.db"))
	}
	// The refused ones have not broken the owner's hold on the file.
	if _, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{workflow(t, s)}}); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, link)
	locked(t, path)
}

func TestASecondOwnerInAnotherProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	child, end := owner(t, path)
	locked(t, path)
	end.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, path)

	// And the other way round.
	if out, err := command(t, ownerPath, path).CombinedOutput(); err == nil || !strings.Contains(string(out), ErrLocked.Error()) {
		t.Errorf("child: %s, %v", out, err)
	}
	if list, err := s.Workflows(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("got %d workflows, %v, want the child's", len(list), err)
	}
}

func TestAKilledOwnerLeavesItsCommitsAndNoLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	for n := 1; n <= 3; n++ {
		child, _ := owner(t, path)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		child.Wait() // says that it was killed
		s := openTest(t, path)
		if list, err := s.Workflows(t.Context()); err != nil || len(list) != n {
			t.Errorf("got %d workflows, %v, want %d", len(list), err, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	checkIntegrity(t, path)
}

// Owners come and go, each removing the lock file: there is never more than one.
func TestOwnersInARaceAreOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	var inside, entered sync.Mutex
	var contenders sync.WaitGroup
	var n int
	for range 8 {
		contenders.Go(func() {
			for range 200 {
				l, err := acquire(path)
				if errors.Is(err, ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if !inside.TryLock() {
					t.Error("two owners")
				} else {
					entered.Lock()
					n++
					entered.Unlock()
					inside.Unlock()
				}
				if err := l.release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	contenders.Wait()
	if n == 0 {
		t.Error("nobody ever owned the file")
	}
}

func TestOtherProgramsMayRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	s := openTest(t, path)
	for n := 1; n <= 2; n++ {
		if _, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{workflow(t, s)}}); err != nil {
			t.Fatal(err)
		}
		var got int
		if err := plain(t, path).QueryRowContext(t.Context(), `SELECT count(*) FROM workflows`).Scan(&got); err != nil || got != n {
			t.Errorf("another program counts %d workflows, %v, want %d", got, err, n)
		}
	}
}
