package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var runMutants = flag.String("mutants", "", `which mutants TestMutants tries: a name, a pattern such as "skip-*", or all`)

// attacks are tests that were written with no fault in mind: they have much
// happen, at random or in every order, and hold what comes of it against the
// promises, or against a model.
var attacks = map[string]trials{
	"model":      {pkg: "./engine/internal/attack/model", tests: "^TestModel$"},
	"linear":     {pkg: "./engine/internal/attack/linear", tests: "^TestLinearizable$"},
	"exhaustive": {pkg: "./engine", tests: "^TestEveryInterleavingOfARemovalKeepsThePromises$"},
	"crash":      {pkg: "./engine/internal/attack/crash", tests: "^TestEveryLeadOutlivesSIGKILL$"},
	"races":      {pkg: "./engine/internal/attack/race", tests: "^TestRemoveRaces$"},
	"faults":     {pkg: "./engine/internal/attack/disk", tests: "^TestAnEngineOutlivesA"},
	"power":      {pkg: "./store/sqlite", tests: "^TestAPowerCutKeepsWhatWasAcknowledged$"},
	"sqlite":     {pkg: "./store/sqlite", tests: "^TestContract$"},
	"memory":     {pkg: "./store/memory", tests: "^TestContract$"},
}

// trials are tests of a package, for -run.
type trials struct{ pkg, tests string }

func (t trials) String() string { return t.pkg + " -run '" + t.tests + "'" }

// TestMutants checks the checkers. Each file of testdata/mutants is a mutant: a
// fault, put into the engine or a store on purpose, that the tests it names must
// catch, and as a rule one of the attacks too. A mutant that survives says that a
// promise could be broken and nobody would notice.
//
// Without the flag it only makes sure that every mutant still is one: that the
// text it replaces is there, once, and that the tests it names exist.
//
//	go test ./engine -run Mutants -mutants=all -v -timeout 2h
//	go test ./engine -run Mutants -mutants=retry-early -v
//
// Nothing in the tree is changed: the go command is given the mutated file as an
// overlay.
func TestMutants(t *testing.T) {
	all := readMutants(t)
	if len(all) < 30 {
		t.Errorf("%d mutants, want 30 or more", len(all))
	}
	pattern := *runMutants
	if pattern == "all" {
		pattern = "*"
	}
	var chosen []*mutant
	for _, m := range all {
		if err := m.check(); err != nil {
			t.Errorf("%s: %v", m.name, err)
		} else if ok, err := filepath.Match(pattern, m.name); err != nil {
			t.Fatal(err)
		} else if ok {
			chosen = append(chosen, m)
		}
	}
	if pattern == "" || t.Failed() {
		return
	}
	if len(chosen) == 0 {
		t.Fatalf("no mutant is called %s", pattern)
	}
	soundCheckers(t, chosen)
	var table strings.Builder
	byTests, byAttacks := 0, 0
	for _, m := range chosen {
		by := m.try(t, m.test, &byTests)
		attacked := "by no attack"
		if m.attack != "" {
			attacked = m.attack + ": " + m.try(t, attacks[m.attack], &byAttacks)
		}
		t.Logf("%s: %s; %s", m.name, by, attacked)
		fmt.Fprintf(&table, "%-34s %s\n%34s %s\n", m.name, by, "", attacked)
	}
	t.Logf("%d mutants, of which tests caught %d and attacks %d\n%s", len(chosen), byTests, byAttacks, &table)
}

// try tries the mutant and returns by which test it was caught.
func (m *mutant) try(t *testing.T, c trials, caught *int) string {
	by, output, err := m.run(t.Context(), t.TempDir(), c)
	switch {
	case err != nil:
		t.Errorf("%s: %v\n%s", m.name, err, output)
		return "not tried"
	case by == "":
		t.Errorf("%s survives: %s does not notice that %s", m.name, c, m.breaks)
		return "SURVIVES"
	}
	*caught++
	return by
}

// soundCheckers makes sure that the tests which are to catch mutants pass
// without one: a test that is red anyway catches nothing.
func soundCheckers(t *testing.T, chosen []*mutant) {
	tests := map[string][]string{}
	for _, m := range chosen {
		for _, c := range []trials{m.test, attacks[m.attack]} {
			if c.pkg == "" {
				continue
			}
			if of := tests[c.pkg]; !slices.Contains(of, c.tests) {
				tests[c.pkg] = append(of, c.tests)
			}
		}
	}
	for pkg, of := range tests {
		if output, err := goTest(t.Context(), trials{pkg, strings.Join(of, "|")}); err != nil {
			t.Fatalf("the tests of %s fail without a mutant: %v\n%s", pkg, err, output)
		}
	}
}

// mutant is a deliberate fault.
type mutant struct {
	name   string
	breaks string // what is wrong then, in a sentence
	file   string // from the top of the module
	test   trials // which are to catch it
	attack string // and which attack, by name; "" for none
	swaps  []swap
}

// swap is a text that is in the file once, and what takes its place.
type swap struct{ before, after string }

func readMutants(t *testing.T) (list []*mutant) {
	t.Helper()
	files, err := filepath.Glob("testdata/mutants/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := parseMutant(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		m.name = strings.TrimSuffix(filepath.Base(file), ".txt")
		list = append(list, m)
	}
	return list
}

// parseMutant reads what a mutant breaks, its file, its tests and its attack, and
// then any number of pairs of sections, "--- before" and "--- after".
func parseMutant(text string) (*mutant, error) {
	head, rest, _ := strings.Cut(text, "\n--- before\n")
	parts := strings.Split(head, "\n")
	if len(parts) < 5 || parts[1] != "" {
		return nil, errors.New("wants a sentence, an empty line, file:, test: and attack:, which may be empty")
	}
	m := &mutant{breaks: parts[0]}
	file, isFile := strings.CutPrefix(parts[2], "file: ")
	tests, isTest := strings.CutPrefix(parts[3], "test: ")
	attack, isAttack := strings.CutPrefix(parts[4], "attack:")
	m.file, m.attack = file, strings.TrimSpace(attack)
	m.test.pkg, m.test.tests, _ = strings.Cut(tests, " ")
	if !isFile || !isTest || !isAttack || m.test.tests == "" || m.attack != "" && attacks[m.attack] == (trials{}) {
		return nil, fmt.Errorf("wants file: FILE, test: PACKAGE REGEXP, and attack: nothing or one of %v", slices.Sorted(maps.Keys(attacks)))
	}
	for pair := range strings.SplitSeq(rest, "\n--- before\n") {
		before, after, found := strings.Cut(pair, "--- after\n")
		if !found || before == "" {
			return nil, errors.New("wants a text before and one after")
		}
		m.swaps = append(m.swaps, swap{before, after})
	}
	return m, nil
}

// mutated returns the file with the fault in it.
func (m *mutant) mutated() (string, error) {
	text, err := os.ReadFile(filepath.Join("..", m.file))
	if err != nil {
		return "", err
	}
	out := string(text)
	for _, s := range m.swaps {
		if n := strings.Count(out, s.before); n != 1 {
			return "", fmt.Errorf("%s has this %d times, want once:\n%s", m.file, n, s.before)
		}
		out = strings.Replace(out, s.before, s.after, 1)
	}
	if out == string(text) {
		return "", errors.New("changes nothing")
	}
	return out, nil
}

// check makes sure that the mutant can be tried.
func (m *mutant) check() error {
	text, err := m.mutated()
	if err != nil {
		return err
	}
	if _, err := parser.ParseFile(token.NewFileSet(), m.file, text, 0); err != nil {
		return err
	}
	var source []byte
	files, err := filepath.Glob(filepath.Join("..", m.test.pkg, "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		source = append(source, text...)
	}
	for name := range strings.SplitSeq(m.test.tests, "|") {
		name, _, _ = strings.Cut(name, "/")
		if !bytes.Contains(source, []byte("\nfunc "+name)) {
			return fmt.Errorf("%s has no test %s", m.test.pkg, name)
		}
	}
	return nil
}

// run tries the mutant and returns the first test that failed, or nothing when
// it survives.
func (m *mutant) run(ctx context.Context, dir string, c trials) (by, output string, err error) {
	text, err := m.mutated()
	if err != nil {
		return "", "", err
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return "", "", err
	}
	file, overlay := filepath.Join(dir, "mutated.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, m.file): file}})
	if err != nil {
		return "", "", err
	}
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return "", "", err
	}
	output, err = goTest(ctx, c, "-overlay="+overlay, "-failfast")
	var exit *exec.ExitError
	switch {
	case err == nil && strings.Contains(output, "[no tests to run]"):
		return "", output, fmt.Errorf("there is no test %s", c)
	case err == nil:
		return "", output, nil
	case !errors.As(err, &exit):
		return "", output, err
	}
	if by = firstFailed(output); by == "" {
		return "", output, fmt.Errorf("no test failed: %w", err)
	}
	return by, output, nil
}

// mutantArgs are the flags of a package's tests that keep a trial short, or make it
// long enough.
var mutantArgs = map[string][]string{
	"./engine/internal/attack/crash": {"-crash.rounds=20"},
	"./engine/internal/attack/race":  {"-race.n=100"},
	"./engine/internal/attack/model": {"-rapid.nofailfile", "-rapid.shrinktime=1ms", "-rapid.checks=400"},
	// Which power cut shows a fault is chance.
	"./store/sqlite": {"-power.runs=6"},
}

// goTest runs tests of a package of this module. It does not wait for the children
// that a test which was killed has left behind.
func goTest(ctx context.Context, c trials, flags ...string) (output string, err error) {
	args := append([]string{"test", "-vet=off", "-ldflags=-s -w", "-count=1", "-timeout=5m", "-run=" + c.tests}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(append(args, c.pkg), mutantArgs[c.pkg]...)...)
	cmd.Dir, cmd.WaitDelay = "..", 10*time.Second
	text, err := cmd.CombinedOutput()
	return string(text), err
}

var (
	failedTest  = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	hangingTest = regexp.MustCompile(`panic: test timed out after .*\n\s*running tests:\n\s*(\S+)`)
	died        = regexp.MustCompile(`(?m)^(panic|fatal error): .*`)
)

// firstFailed returns the first test that failed, by its full name, and how, if
// not in the usual way.
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
