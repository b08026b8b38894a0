//go:build unix

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
)

// strangerPath names, in the environment of a child process, the file to open
// as somebody without special rights.
const strangerPath = "SQLITE_TEST_STRANGER_PATH"

func init() { children[strangerPath] = visit }

// visit opens the file, as nobody if it may choose.
func visit(path string) error {
	if os.Getuid() == 0 {
		const nobody = 65534
		if err := errors.Join(syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return fmt.Errorf("no test: %w", err)
		}
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("no test: %w", err)
	}
	s, err := Open(context.Background(), path, Options{})
	if err != nil {
		return err
	}
	_, err = s.Commit(context.Background(), &store.Batch{Ping: true})
	fmt.Println("opened;", err)
	return s.Close()
}

// What may not be written is refused on opening, as it is, and not when the
// first lead is enrolled.
func TestWhatMayOnlyBeReadIsRefused(t *testing.T) {
	made := filepath.Join(t.TempDir(), powerFile)
	disk := disktest.New(nil)
	stop, err := disktest.Watch(filepath.Dir(made), disk)
	if err != nil {
		t.Fatal(err)
	}
	s := openTest(t, made)
	if _, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{workflow(t, s)}}); err != nil {
		t.Fatal(err)
	}
	killed := disk.Cut(nil, disktest.Everything)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closed := disk.Cut(nil, disktest.Everything)
	stop()
	for _, c := range []struct {
		name      string
		files     disktest.Files
		file, dir fs.FileMode
		refused   bool
	}{
		{"nothing", closed, 0o666, 0o777, false},
		{"the file", closed, 0o444, 0o777, true},
		{"the file, of a process that was killed", killed, 0o444, 0o777, true},
		{"the directory", closed, 0o666, 0o555, true},
		{"the directory, of a process that was killed", killed, 0o666, 0o555, true},
		{"a directory in which there is no file", nil, 0, 0o555, true},
		{"both", closed, 0o444, 0o555, true},
		{"the file, which may not even be read", closed, 0, 0o777, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, powerFile)
			if err := c.files.WriteTo(dir, ""); err != nil {
				t.Fatal(err)
			}
			for name := range c.files {
				if err := os.Chmod(filepath.Join(dir, name), c.file); err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() { os.Chmod(dir, 0o777) })
			if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, c.dir)); err != nil {
				t.Fatal(err)
			}
			child := osexec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), strangerPath+"="+path)
			out, _ := child.Output()
			said := strings.TrimSpace(string(out))
			switch {
			case strings.HasPrefix(said, "no test: "):
				t.Skip(said)
			case !c.refused && said != "opened; <nil>":
				t.Errorf("it was refused: %s", said)
			case c.refused && (!strings.HasPrefix(said, "sqlite: open "+path+": ") || !strings.Contains(said, adviceWritable)):
				t.Errorf("it was not refused, or not clearly: %s", said)
			}
			if !c.refused {
				return
			}
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			for name, text := range c.files {
				if err := os.Chmod(filepath.Join(dir, name), 0o666); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != string(text) {
					t.Errorf("%s was changed, %v", name, err)
				}
			}
			openTest(t, path) // and now it is not
		})
	}
}
