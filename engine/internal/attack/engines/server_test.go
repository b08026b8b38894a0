//go:build unix

package engines

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// server is a PostgreSQL server: one of the test's own, that it may stop at any time, or
// the one of pgtest.URL where PostgreSQL's programs are not installed.
type server struct {
	*testing.T
	url, schema string

	own     bool
	dir     string
	program string // postgres
	as      *syscall.SysProcAttr
	log     *os.File
	process *exec.Cmd
	alive   io.Closer // while it is open, the server runs
}

func newServer(t *testing.T) *server {
	t.Helper()
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	s := &server{T: t}
	initdb, err := s.find("initdb")
	if err != nil {
		t.Logf("PostgreSQL's programs are not installed, so the server is not restarted: %v", err)
		s.url, s.schema = pgtest.URL(), pgtest.Schema(t)
		return s
	}
	s.own, s.schema, s.program = true, "leadflow", filepath.Join(filepath.Dir(initdb), "postgres")
	if s.dir, err = os.MkdirTemp("", "leadflow-engines-"); err != nil { // short, for the path of a socket
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(s.dir); err != nil {
			t.Error(err)
		}
	})
	if s.as, err = notRoot(s.dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(initdb, "-D", s.data(), "-U", "leadflow", "--auth=trust", "--encoding=UTF8", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = s.dir, s.as
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.url = "postgres://leadflow@/postgres?host=" + s.dir
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.log.Close() })
	t.Cleanup(func() {
		if s.process != nil {
			s.stop()
		}
	})
	s.start()
	return s
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

// find returns the path of a program of PostgreSQL.
func (s *server) find(name string) (string, error) {
	list, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err == nil && len(list) > 0 {
		return list[len(list)-1], nil
	}
	return exec.LookPath(name)
}

// notRoot gives the folder to the user that PostgreSQL runs as: it refuses to be root.
func notRoot(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr, os.Chown(dir, int(uid), int(gid))); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// start starts the server. A shell stands between, which stops it when the test's
// process is gone.
func (s *server) start() {
	cmd := exec.Command("sh", "-c", `"$@" & read -r _; kill -QUIT $!; wait`, "sh",
		s.program, "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200")
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = s.dir, s.as, s.log, s.log
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.Fatal(err)
	}
	s.process, s.alive = cmd, in
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := pgx.Connect(ctx, s.url)
		if err == nil {
			conn.Close(ctx)
			return
		}
		if time.Since(began) > time.Minute {
			text, _ := os.ReadFile(s.log.Name())
			s.Fatalf("the server does not start: %v\n%s", err, text)
		}
	}
}

// stop ends the server as a power cut would, but for what the kernel has of its files.
func (s *server) stop() {
	s.alive.Close()
	if err := s.process.Wait(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			s.Error(fmt.Errorf("stop the server: %w", err))
		}
	}
	s.process = nil
}
