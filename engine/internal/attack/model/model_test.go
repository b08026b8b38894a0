package model

import (
	"flag"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// TestModel applies random operations to the engine and to the specification of a lead's
// life (package life), and compares the two after each.
//
// A run has a number of trials of about 30 operations; the seed is logged. A longer run,
// and a repetition:
//
//	go test ./engine/internal/attack/model -run 'TestModel$' -rapid.checks=5000 -timeout 1h
//	go test ./engine/internal/attack/model -run 'TestModel$/sqlite' -rapid.seed=SEED
//
// A failure is shrunk and kept in testdata/rapid; later runs repeat it first.
// -rapid.failfile repeats one file.
func TestModel(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend.name, func(t *testing.T) {
			if backend.name == "postgres" && pgtest.URL() == "" {
				t.Skip(pgtest.Missing)
			}
			dose(t, backend.trials)
			seen := tally{}
			rapid.Check(t, func(t *rapid.T) {
				rapid.SyncTest(t, func(t *rapid.T) {
					w := newTrial(t, backend, seen)
					w.begin(t)
					t.Repeat(w.operations())
					w.promises.possible(w)
					w.promises.end(w)
				})
			})
			t.Logf("seen: %s", seen)
		})
	}
}

// dose sets the number of trials, unless flags on the command line do, and logs the
// seed.
func dose(t *testing.T, checks int) {
	t.Helper()
	given := flagsGiven()
	set := func(name string, value string) {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if world.RaceEnabled {
		checks /= 5
	}
	if !given["rapid.checks"] {
		before := flag.Lookup("rapid.checks").Value.String()
		set("rapid.checks", strconv.Itoa(checks))
		t.Cleanup(func() { set("rapid.checks", before) })
	}
	if !given["rapid.seed"] {
		set("rapid.seed", strconv.FormatUint(rand.Uint64()>>1, 10))
		t.Cleanup(func() { set("rapid.seed", "0") })
	}
	t.Logf("-rapid.seed=%s", flag.Lookup("rapid.seed").Value)
}

// flagsGiven names the flags of the command line, before any is set here.
var flagsGiven = sync.OnceValue(func() map[string]bool {
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return given
})
