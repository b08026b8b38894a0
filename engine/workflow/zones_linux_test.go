package workflow

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A static program in an empty container knows the time zones.
func TestZonesWithoutZoneinfo(t *testing.T) {
	root := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(root, "zones"), "./testdata/zones")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command("/zones")
	run.Env = []string{"ZONEINFO=", "GOROOT="}
	run.Dir = "/"
	run.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if os.Getuid() != 0 {
		run.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		run.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	out, err := run.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("this user may not change the root of a process")
	}
	const want = "2026-07-01 07:00:00 +0000 UTC <nil>\ntrue <nil>\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%swant:\n%s", err, out, want)
	}
}
