package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// fullDiskEnv names the directory in which a child process fills the disk, and marks the
// process as the child; fullDiskHowEnv says how: "tmpfs", a file system of its own, or
// "limit", a limit of the file size.
const (
	fullDiskEnv    = "LEADFLOW_FULL_DISK"
	fullDiskHowEnv = "LEADFLOW_FULL_DISK_HOW"
)

// The disk is really full, in a separate process: callers get an error that says why,
// the live call is not cut off and its result is kept, and when there is room again
// everything goes on without a restart.
func TestAnEngineOutlivesAFullDisk(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"tmpfs", "limit"} {
		t.Run(how, func(t *testing.T) {
			child := exec.CommandContext(t.Context(), self)
			child.Env = append(os.Environ(), fullDiskEnv+"="+t.TempDir(), fullDiskHowEnv+"="+how)
			child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if how == "tmpfs" {
				child.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
				if os.Getuid() != 0 {
					child.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
					child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
				}
			}
			runtime.LockOSThread() // Pdeathsig comes when the thread ends that made the child
			out, err := child.CombinedOutput()
			runtime.UnlockOSThread()
			switch text := string(out); {
			case errors.Is(err, syscall.EPERM), strings.Contains(text, "no test: "):
				t.Skipf("not allowed here: %v %s", err, text)
			case err != nil:
				t.Errorf("%v\n%s", err, text)
			default:
				t.Log(strings.SplitN(text, "\n", 2)[0])
			}
		})
	}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(fullDiskEnv); dir != "" {
		if err := fillDisk(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// fillDisk is the child process of TestAnEngineOutlivesAFullDisk.
func fillDisk(dir string) error {
	var fill, empty func() error
	switch os.Getenv(fullDiskHowEnv) {
	case "tmpfs":
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
			return fmt.Errorf("no test: %w", err)
		}
		ballast := filepath.Join(dir, "ballast")
		fill = func() error { return os.WriteFile(ballast, make([]byte, 1<<20), 0o600) }
		empty = func() error { return os.Remove(ballast) }
	case "limit":
		limit := func(n uint64) error {
			return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: math.MaxUint64})
		}
		fill = func() error { return limit(512 << 10) }
		empty = func() error { return limit(math.MaxUint64) }
	}
	if err := fill(); err != nil {
		return fmt.Errorf("no test: %w", err)
	}
	d := &fullDisk{path: filepath.Join(dir, "leads.db"), hangUp: make(chan struct{}), called: make(chan struct{})}
	d.open()
	d.begin()
	refused := d.fillUp()
	d.whileFull(refused)
	if err := empty(); err != nil {
		return err
	}
	d.afterwards()
	if d.failed.Load() {
		return errors.New("the promises do not hold")
	}
	fmt.Printf("%d leads were enrolled before %v\n", len(d.enrolled)-1, refused)
	return nil
}

type fullDisk struct {
	failed         atomic.Bool
	path           string
	store          *sqlite.Store
	eng            *engine.Engine
	wf             lead.WorkflowID
	inCall         lead.Lead
	called, hangUp chan struct{} // the handler was called, and is to return
	enrolled       []lead.Lead
}

// Errorf notes a fault for the parent to print, and the child goes on.
func (d *fullDisk) Errorf(format string, args ...any) {
	d.failed.Store(true)
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// Fatal ends the child.
func (d *fullDisk) Fatal(fault any) {
	fmt.Fprintln(os.Stderr, fault)
	os.Exit(1)
}

func (d *fullDisk) open() {
	var err error
	if d.store, err = sqlite.Open(world.Background, d.path, sqlite.Options{}); err != nil {
		d.Fatal(err)
	}
	call := func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		close(d.called)
		select {
		case <-d.hangUp:
			return engine.Result{Outcome: "completed"}, nil
		case <-ctx.Done():
			d.Errorf("the live call was cut: %v", context.Cause(ctx))
			return engine.Result{}, ctx.Err()
		}
	}
	c := engine.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	world.Handle(&c, call)
	d.eng, err = engine.New(d.store, c)
	if err == nil {
		err = d.eng.Start(world.Background)
	}
	if err != nil {
		d.Fatal(err)
	}
}

// begin enrolls a lead that is called, and others that wait.
func (d *fullDisk) begin() {
	made, err := d.eng.CreateWorkflow(world.Background, &workflow.Definition{
		Name: "full", Entry: "which",
		Nodes: []workflow.Node{
			workflow.If("which", `metadata.call == true`), workflow.CallNode("call", nil), workflow.Wait("wait", 1000*time.Hour),
			workflow.End("end", workflow.Converted),
		},
		Edges: []workflow.Edge{
			workflow.On("which", "true", "call"), workflow.On("which", "false", "wait"),
			workflow.On("call", "completed", "end"), workflow.To("wait", "end"),
		},
	})
	if err == nil {
		_, err = d.eng.ActivateWorkflow(world.Background, made.ID)
	}
	if err != nil {
		d.Fatal(err)
	}
	d.wf = made.ID
	d.inCall = d.enroll(lead.Contact{PhoneNumber: "+14155550000", Metadata: map[string]any{"call": true}})
	<-d.called
}

func (d *fullDisk) enroll(c lead.Contact) lead.Lead {
	l, err := d.eng.Enroll(world.Background, d.wf, c)
	if err != nil {
		d.Fatal(err)
	}
	d.enrolled = append(d.enrolled, l)
	return l
}

// fillUp enrolls until there is no room, and fills even the last page.
func (d *fullDisk) fillUp() error {
	defer func() {
		for n := 0; d.eng.Health(world.Background) == nil; n++ {
			if n == 10_000 {
				d.Fatal("the disk is never full")
			}
		}
	}()
	for i := range 100_000 {
		c := world.Person(i)
		c.Metadata = map[string]any{"note": strings.Repeat("x", 2000)}
		l, err := d.eng.Enroll(world.Background, d.wf, c)
		if err != nil {
			return err
		}
		d.enrolled = append(d.enrolled, l)
	}
	d.Fatal("the disk is never full")
	return nil
}

// whileFull makes requests that are impossible on a full disk.
func (d *fullDisk) whileFull(refused error) {
	second := func() error {
		s, err := sqlite.Open(world.Background, d.path+".other", sqlite.Options{})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	for what, err := range map[string]error{
		"Enroll": refused,
		"Health": d.eng.Health(world.Background),
		"Remove": func() error { _, err := d.eng.Remove(world.Background, d.wf, d.inCall.ID); return err }(),
		"Pause":  func() error { _, err := d.eng.PauseWorkflow(world.Background, d.wf); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), "make room on the disk") && !strings.Contains(err.Error(), "free space") {
			d.Errorf("%s on a full disk: %v", what, err)
		}
	}
	if err := second(); err != nil && !strings.Contains(err.Error(), "make room on the disk") && !strings.Contains(err.Error(), "free space") {
		d.Errorf("opening another file on a full disk: %v", err)
	}
	close(d.hangUp) // what the handler came to cannot be written yet
	if l, err := d.eng.Lead(world.Background, d.wf, d.inCall.ID); err != nil || l.State != lead.InStep {
		d.Errorf("the lead in the call is %s, %v", l.State, err)
	}
}

// afterwards there is room.
func (d *fullDisk) afterwards() {
	if err := d.eng.Health(world.Background); err != nil {
		d.Fatal(fmt.Errorf("there is room again: %w", err))
	}
	d.enroll(lead.Contact{PhoneNumber: "+14155550001"})
	if _, err := d.eng.Remove(world.Background, d.wf, d.enrolled[1].ID); err != nil {
		d.Errorf("Remove, when there is room again: %v", err)
	}
	// The handler has returned, so this waits for what it came to.
	if err := errors.Join(d.eng.Shutdown(world.Background), d.store.Close()); err != nil {
		d.Fatal(err)
	}
	d.open()
	for i, l := range d.enrolled {
		got, err := d.eng.Lead(world.Background, d.wf, l.ID)
		want := lead.Enrolled
		switch i {
		case 0:
			want = lead.Completed
		case 1:
			want = lead.Removed
		}
		if err != nil || got.State != want {
			d.Errorf("lead %d is %s and not %s, %v", i, got.State, want, err)
		}
	}
	if n, err := d.eng.CountLeads(world.Background, d.wf, engine.LeadFilter{}); err != nil || int(n) != len(d.enrolled) {
		d.Errorf("%d leads, %d were acknowledged, %v", n, len(d.enrolled), err)
	}
	if err := errors.Join(d.eng.Shutdown(world.Background), d.store.Close()); err != nil {
		d.Fatal(err)
	}
}
