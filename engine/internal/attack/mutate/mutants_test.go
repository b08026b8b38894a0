package mutate

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

var (
	runMutants  = flag.String("mutants", "", `which mutants TestMutants tries: a name, a pattern such as "skip-*", or all`)
	listMutants = flag.Bool("mutants.check", false, "have TestMutants only say which mutants are none any more, because the code they change is another")
)

// top is the top of the module.
const top = "../../../.."

// attacks are tests that do not look for a specific fault: they do many things, at
// random or in every order, and compare the results with the promises or with the
// specification of a lead's life.
var attacks = map[string]Trial{
	"model":      {"./engine/internal/attack/model", "^TestModel$"},
	"linear":     {"./engine/internal/attack/linear", "^TestLinearizable$"},
	"exhaustive": {"./engine/internal/attack/exhaustive", "^TestTwoLeadsAndOneWorkerKeepThePromisesInEveryOrder$"},
	"crash":      {"./engine/internal/attack/crash", "^TestEveryLeadOutlivesSIGKILL$"},
	"races":      {"./engine/internal/attack/race", "^TestRemoveRaces$"},
	"stops":      {"./engine/internal/attack/race", "^TestSuppressRaces$"},
	"faults":     {"./engine/internal/attack/disk", "^TestAnEngineOutlivesA"},
	"power":      {"./store/sqlite", "^TestAPowerCutKeepsWhatWasAcknowledged$"},
	"sqlite":     {"./store/sqlite", "^TestContract$"},
	"memory":     {"./store/memory", "^TestContract$"},
	"engines":    {"./engine/internal/attack/engines", "^TestEveryLeadOutlivesItsEngines$"},
	"week":       {"./engine/internal/attack/engines", "^TestAWeekOfLimitsOnThreeEngines$"},
	"fleet":      {"./engine/internal/attack/engines", "^TestSuppressionsRaceOnThreeEngines$"},
}

// needPostgres are packages whose tests are skipped without a PostgreSQL server, and so
// are the mutants that they must notice.
var needPostgres = []string{"./store/postgres", "./engine/internal/attack/engines"}

// doses are the flags that make a package's tests short, or long enough.
var doses = map[string][]string{
	"./engine/internal/attack/model": {"-rapid.nofailfile", "-rapid.shrinktime=1ms", "-rapid.checks=400"},
	"./engine/internal/attack/crash": {"-crash.rounds=20"},
	"./engine/internal/attack/race":  {"-race.n=100"},
	// Whether engines meet is random.
	"./engine/internal/attack/engines": {"-engines.races=400", "-engines.week=30s"},
	// Whether a power cut shows a fault is random.
	"./store/sqlite": {"-power.runs=6"},
}

// TestMutants runs the mutants, if its flags say so:
//
//	go test ./engine/internal/attack/mutate -mutants.check -v
//	go test ./engine/internal/attack/mutate -mutants=all -v -timeout 2h
//	go test ./engine/internal/attack/mutate -mutants=retry-early -v
func TestMutants(t *testing.T) {
	pattern := *runMutants
	if pattern == "" && !*listMutants {
		return // moving code must not fail tests
	}
	if pattern == "all" || pattern == "" {
		pattern = "*"
	}
	all, err := ReadAll("testdata", slices.Sorted(maps.Keys(attacks)))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 60 {
		t.Errorf("%d mutants, want 60 or more", len(all))
	}
	var chosen []*Mutant
	left := 0
	for _, m := range all {
		if ok, err := filepath.Match(pattern, m.Name); err != nil {
			t.Fatal(err)
		} else if !ok {
			continue
		}
		if err := check(m); err != nil {
			t.Errorf("%s is no mutant any more, so nobody knows whether a test would notice that %s\n%v", m.Name, m.Breaks, err)
			continue
		}
		needs := slices.Contains(needPostgres, m.Test.Package) || slices.Contains(needPostgres, attacks[m.Attack].Package)
		if needs && pgtest.URL() == "" && !*listMutants {
			t.Logf("%s is left out: it %s", m.Name, pgtest.Missing)
			left++
			continue
		}
		chosen = append(chosen, m)
	}
	if len(chosen) == 0 && left > 0 && !t.Failed() {
		t.Skip(pgtest.Missing)
	}
	if len(chosen) == 0 && !t.Failed() {
		t.Fatalf("no mutant is called %s", pattern)
	}
	if *listMutants {
		t.Logf("%d of %d are mutants", len(chosen), len(all))
		return
	}
	sound(t, chosen)
	var table strings.Builder
	byTests, byAttacks := 0, 0
	for _, m := range chosen {
		by := try(t, m, m.Test, &byTests)
		attacked := "by no attack"
		if m.Attack != "" {
			attacked = m.Attack + ": " + try(t, m, attacks[m.Attack], &byAttacks)
		}
		t.Logf("%s: %s; %s", m.Name, by, attacked)
		fmt.Fprintf(&table, "%-34s %s\n%34s %s\n", m.Name, by, "", attacked)
	}
	t.Logf("%d mutants, of which tests caught %d and attacks %d\n%s", len(chosen), byTests, byAttacks, &table)
}

// try runs the tests with a mutant and returns the test that noticed it.
func try(t *testing.T, m *Mutant, c Trial, caught *int) string {
	by, output, err := m.Run(t.Context(), top, t.TempDir(), c, doses[c.Package]...)
	switch {
	case err != nil:
		t.Errorf("%s: %v\n%s", m.Name, err, output)
		return "not tried"
	case by == "":
		t.Errorf("%s survives: %s does not notice that %s", m.Name, c, m.Breaks)
		return "SURVIVES"
	}
	*caught++
	return by
}

// sound checks that the tests that must notice mutants pass without one: a test that
// always fails proves nothing.
func sound(t *testing.T, chosen []*Mutant) {
	tests := map[string][]string{}
	for _, m := range chosen {
		for _, c := range []Trial{m.Test, attacks[m.Attack]} {
			if of := tests[c.Package]; c.Package != "" && !slices.Contains(of, c.Tests) {
				tests[c.Package] = append(of, c.Tests)
			}
		}
	}
	for pkg, of := range tests {
		if output, err := GoTest(t.Context(), top, Trial{pkg, strings.Join(of, "|")}, nil, doses[pkg]...); err != nil {
			t.Fatalf("the tests of %s fail without a mutant: %v\n%s", pkg, err, output)
		}
	}
}

// check checks that a mutant can be run: it changes something, and the tests that it
// names exist.
func check(m *Mutant) error {
	if _, err := m.Apply(top); err != nil {
		return err
	}
	var source strings.Builder
	files, err := filepath.Glob(filepath.Join(top, m.Test.Package, "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		source.Write(text)
	}
	for name := range strings.SplitSeq(m.Test.Tests, "|") {
		name, _, _ = strings.Cut(strings.Trim(name, "^$"), "/")
		if !regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name)).MatchString(source.String()) {
			return fmt.Errorf("%s has no test %s", m.Test.Package, name)
		}
	}
	return nil
}
