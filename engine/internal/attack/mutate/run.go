package mutate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Run runs tests with the mutant. It returns the full name of the first test that
// failed, or "" if the mutant survives. dir is an empty directory; flags are for the
// test binary.
func (m *Mutant) Run(ctx context.Context, top, dir string, t Trial, flags ...string) (caught, output string, err error) {
	files, err := m.Apply(top)
	if err != nil {
		return "", "", err
	}
	root, err := filepath.Abs(top)
	if err != nil {
		return "", "", err
	}
	replace := map[string]string{}
	for path, text := range files {
		file := filepath.Join(dir, strings.ReplaceAll(path, "/", "+"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", "", err
		}
		replace[filepath.Join(root, path)] = file
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return "", "", err
	}
	output, err = GoTest(ctx, top, t, []string{"-overlay=" + overlay, "-failfast"}, flags...)
	var exit *exec.ExitError
	switch {
	case err == nil && strings.Contains(output, "[no tests to run]"):
		return "", output, fmt.Errorf("there is no test %s", t)
	case err == nil:
		return "", output, nil
	case !errors.As(err, &exit):
		return "", output, err
	}
	if caught = firstFailed(output); caught == "" {
		return "", output, fmt.Errorf("no test failed: %w", err)
	}
	return caught, output, nil
}

// GoTest runs tests, with flags for the go command and for the test binary. It does not
// wait for child processes that a killed test has left behind.
func GoTest(ctx context.Context, top string, t Trial, build []string, flags ...string) (output string, err error) {
	args := append([]string{"test", "-vet=off", "-ldflags=-s -w", "-count=1", "-timeout=5m", "-run=" + t.Tests}, build...)
	cmd := exec.CommandContext(ctx, "go", append(append(args, t.Package), flags...)...)
	cmd.Dir, cmd.WaitDelay = top, 10*time.Second
	text, err := cmd.CombinedOutput()
	return string(text), err
}

var (
	failedTest  = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	hangingTest = regexp.MustCompile(`panic: test timed out after .*\n\s*running tests:\n\s*(\S+)`)
	died        = regexp.MustCompile(`(?m)^(panic|fatal error): .*`)
)

// firstFailed returns the full name of the first test that failed and, unless it is an
// ordinary failure, how it failed.
func firstFailed(output string) string {
	first := ""
	for _, found := range failedTest.FindAllStringSubmatch(output, -1) {
		if first == "" || strings.HasPrefix(found[1], first+"/") {
			first = found[1]
		}
	}
	if first != "" {
		return first
	}
	if found := hangingTest.FindStringSubmatch(output); found != nil {
		return found[1] + " (hangs)"
	}
	return died.FindString(output)
}
