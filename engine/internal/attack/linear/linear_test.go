package linear

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

var (
	runsFlag = flag.Int("linear.n", 10, "how many runs of concurrent clients each case of TestLinearizable makes")
	seedFlag = flag.Uint64("linear.seed", 0, "seed of the clients' choices; 0 means a new one")
)

// TestLinearizable has clients enroll, remove, hold, release, complete and read the same few
// leads, and suppress and remove their persons, concurrently, on real goroutines and in real time, and then checks whether the answers
// are linearizable: whether some sequential order of all operations gives the same
// answers. The engine's own operations, the calls of handlers, are part of that order.
//
// The logged seed repeats the clients' choices, but not their interleaving. A longer
// run:
//
//	go test ./engine/internal/attack/linear -run TestLinearizable -linear.n=1000 -timeout 1h
func TestLinearizable(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-linear.seed=%d", seed)
	runs := *runsFlag
	if world.RaceEnabled {
		runs = max(1, runs/5)
	}
	for _, c := range []struct {
		name    string
		flow    setting
		http    bool
		engines int
	}{
		{"calls", setting{}, false, 0},
		{"calls with hooks", setting{hooks: true}, false, 0},
		{"calls with deadlines", setting{timeout: true}, false, 0},
		{"calls with hooks and deadlines", setting{hooks: true, timeout: true}, false, 0},
		{"over HTTP", setting{}, true, 0},
		{"over HTTP with hooks and deadlines", setting{hooks: true, timeout: true}, true, 0},
		{"postgres", setting{hooks: true}, false, 1},
		{"three engines on postgres", setting{}, false, 3},
		{"three engines on postgres with hooks and deadlines", setting{hooks: true, timeout: true}, false, 3},
		{"three engines on postgres over HTTP", setting{hooks: true}, true, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.engines > 0 && pgtest.URL() == "" {
				t.Skip(pgtest.Missing)
			}
			histories, operations, undecided := 0, 0, 0
			for i := range runs {
				model := newChecker(t, c.flow).model() // with states of its own, or there would be ever more
				history := historyOf(t, c.flow, c.http, c.engines, seed+uint64(i))
				histories += len(model.Partition(history))
				operations += len(history)
				undecided += checkLinear(t, model, history)
				if t.Failed() {
					return
				}
			}
			t.Logf("%d histories with %d operations, of which %d were not decided in time", histories, operations, undecided)
			if undecided > 1+histories/100 {
				t.Error("the test tests less than it says")
			}
		})
	}
}

// checkLinear fails the test if the history is not linearizable, and writes the part of
// one contact that shows it, as text and as a picture. It returns how many parts were
// not decided in time: with many concurrent operations the search for an order can
// take very long.
func checkLinear(t *testing.T, model porcupine.Model, history []porcupine.Operation) (undecided int) {
	t.Helper()
	for _, part := range model.Partition(history) {
		result, info := porcupine.CheckOperationsVerbose(model, part, 20*time.Second)
		switch result {
		case porcupine.Ok:
			continue
		case porcupine.Unknown:
			undecided++
			continue
		}
		file, err := os.CreateTemp("", "leadflow-linear-*.html")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := porcupine.Visualize(model, info, file); err != nil {
			t.Error(err)
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		var text strings.Builder
		for _, op := range part {
			fmt.Fprintf(&text, "\t%d..%d client %d: %s\n", op.Call, op.Return, op.ClientId, model.DescribeOperation(op.Input, op.Output))
		}
		t.Errorf("a history is %s; see %s\n%s", result, file.Name(), text.String())
	}
	return undecided
}

// TestTheCheckOfHistoriesFindsFaults checks histories that no lead can have, and the
// same histories without the fault.
func TestTheCheckOfHistoriesFindsFaults(t *testing.T) {
	enroll := op{in: input{kind: opEnroll}, out: output{lead: 1}}
	again := op{in: input{kind: opEnroll}, out: output{lead: 2}}
	live := op{in: input{kind: opEnroll}, out: output{refused: lead.ErrContactLive, lead: 1}}
	start := op{in: input{kind: opStart, lead: 1, visit: 1, attempt: 1}}
	second := op{in: input{kind: opStart, lead: 1, visit: 2, attempt: 1}}
	retry := op{in: input{kind: opStart, lead: 1, visit: 1, attempt: 2}}
	returned := func(outcome string) op {
		return op{in: input{kind: opReturn, lead: 1, visit: 1, attempt: 1, outcome: outcome}}
	}
	remove := func(reason string, state lead.State) op {
		return op{in: input{kind: opRemove, lead: 1, reason: reason}, out: output{state: state}}
	}
	skip := func(state lead.State) op {
		return op{in: input{kind: opRemove, lead: 1, reason: "a", skip: true}, out: output{state: state}}
	}
	final := op{in: input{kind: opRemove, lead: 1}, out: output{refused: lead.ErrLeadFinal, state: lead.Removed}}
	get := func(state lead.State, reason string) op {
		return op{in: input{kind: opGet, lead: 1}, out: output{state: state, reason: reason}}
	}
	say := func(outcome string, state lead.State, refused error) op {
		in := input{kind: opComplete, lead: 1, visit: 1, outcome: outcome}
		return op{in: in, out: output{state: state, refused: refused}}
	}
	history := func(outcome string) op {
		return op{in: input{kind: opHistory, lead: 1}, out: output{outcomes: outcomes{outcome}}}
	}
	suppress := func(sup int, fresh bool, channel workflow.NodeType, of ...lead.State) op {
		out := output{sup: sup, fresh: fresh}
		copy(out.states[:], of)
		return op{in: input{kind: opSuppress, reason: "a", channel: channel}, out: out}
	}
	lift := func(sup int, refused error) op {
		return op{in: input{kind: opLift, sup: sup}, out: output{refused: refused}}
	}
	suppressed := op{in: input{kind: opEnroll}, out: output{refused: lead.ErrSuppressed}}
	hold, release := op{in: input{kind: opHold, lead: 1}}, op{in: input{kind: opRelease, lead: 1}}
	notHeld := op{in: input{kind: opRelease, lead: 1}, out: output{refused: lead.ErrNotHeld}}
	held := op{in: input{kind: opGet, lead: 1}, out: output{state: lead.Enrolled, held: true}}
	removeAll := func(of ...lead.State) op {
		out := output{}
		copy(out.states[:], of)
		return op{in: input{kind: opRemoveContact, reason: "a"}, out: out}
	}
	row := func(ops ...op) []op { return ops }

	for _, c := range []struct {
		name      string
		good, bad []op // one after the other, but for those that are early
	}{
		{"a step starts after removal",
			row(enroll, remove("a", lead.Removed), get(lead.Removed, "a")),
			row(enroll, remove("a", lead.Removed), start)},
		{"a second step starts while removal is pending",
			row(enroll, start, remove("a", lead.PendingRemoval), returned("ok"), get(lead.Removed, "a")),
			row(enroll, start, remove("a", lead.PendingRemoval), returned("ok"), second)},
		{"a removal is lost",
			row(enroll, start, remove("a", lead.PendingRemoval), get(lead.PendingRemoval, "a")),
			row(enroll, start, remove("a", lead.PendingRemoval), get(lead.InStep, ""))},
		{"a removal is acknowledged twice",
			row(enroll, remove("a", lead.Removed), final),
			row(enroll, remove("a", lead.Removed), remove("b", lead.Removed))},
		{"the second removal counts",
			row(enroll, start, remove("a", lead.PendingRemoval), remove("b", lead.PendingRemoval), get(lead.PendingRemoval, "a")),
			row(enroll, start, remove("a", lead.PendingRemoval), remove("b", lead.PendingRemoval), get(lead.PendingRemoval, "b"))},
		{"two outcomes are accepted",
			row(enroll, start, returned(inFlight), say("ok", lead.Enrolled, nil), say("dnp", 0, lead.ErrStepFinished)),
			row(enroll, start, returned(inFlight), say("ok", lead.Enrolled, nil), say("dnp", lead.Enrolled, nil))},
		{"the handler overrides the callback",
			row(enroll, start, say("ok", lead.InStep, nil), returned("dnp"), history("ok")),
			row(enroll, start, say("ok", lead.InStep, nil), returned("dnp"), history("dnp"))},
		{"a retry is made although it was to be skipped",
			row(enroll, start, returned(failed), skip(lead.Removed), history(failed)),
			row(enroll, start, returned(failed), skip(lead.PendingRemoval), retry)},
		{"a queued retry is dropped by a plain removal",
			row(enroll, start, returned(failed), remove("a", lead.PendingRemoval), retry),
			row(enroll, start, returned(failed), remove("a", lead.Removed))},
		{"a read is stale",
			row(enroll, start, returned("dnp"), get(lead.Completed, ""), get(lead.Completed, "")),
			row(enroll, start, returned("dnp"), get(lead.Completed, ""), get(lead.InStep, ""))},
		{"a live contact is enrolled twice",
			row(enroll, live, start),
			row(enroll, again, start)},
		{"an attempt is made twice",
			row(enroll, start, returned(failed), retry),
			row(enroll, start, start)},
		{"a step starts after a suppression",
			row(enroll, suppress(1, true, "", lead.Removed), get(lead.Removed, "a")),
			row(enroll, suppress(1, true, "", lead.Removed), start)},
		{"a suppression forgets a lead",
			row(enroll, start, suppress(1, true, "", lead.PendingRemoval), get(lead.PendingRemoval, "a")),
			row(enroll, start, suppress(1, true, ""), get(lead.InStep, ""))},
		{"a retry is made after a suppression",
			row(enroll, start, returned(failed), suppress(1, true, "", lead.Removed), history(failed)),
			row(enroll, start, returned(failed), suppress(1, true, "", lead.PendingRemoval), retry)},
		{"whoever is suppressed is enrolled",
			row(suppress(1, true, ""), suppressed, suppress(1, false, ""), lift(1, nil), enroll),
			row(suppress(1, true, ""), enroll)},
		{"a suppression is lifted twice",
			row(suppress(1, true, ""), lift(1, nil), lift(1, lead.ErrNotActive), suppress(2, true, "")),
			row(suppress(1, true, ""), lift(1, nil), lift(1, nil))},
		{"a step starts that is suppressed for its channel",
			row(suppress(1, true, workflow.VoiceCall), enroll, get(lead.Enrolled, "")),
			row(suppress(1, true, workflow.VoiceCall), enroll, start)},
		{"a step starts while it is held",
			row(enroll, hold, held, release, start),
			row(enroll, hold, start)},
		{"a hold is lost",
			row(enroll, hold, held, release, notHeld),
			row(enroll, hold, notHeld)},
		{"the removal of a person forgets a lead",
			row(enroll, start, removeAll(lead.PendingRemoval), returned("dnp"), removeAll()),
			row(enroll, start, removeAll(), get(lead.InStep, ""))},
		{"the removal of a person removes two leads of a workflow",
			row(enroll, removeAll(lead.Removed), again, removeAll(0, lead.Removed)),
			row(enroll, again, removeAll(lead.Removed, lead.Removed))},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, ops := range map[string][]op{"good": c.good, "bad": c.bad} {
				want := porcupine.CheckResult(porcupine.Ok)
				if name == "bad" {
					want = porcupine.Illegal
				}
				if got := porcupine.CheckOperationsTimeout(newChecker(t, setting{}).model(), oneByOne(ops), time.Minute); got != want {
					t.Errorf("the %s history is %s", name, got)
				}
			}
		})
	}
}

type op struct {
	in  input
	out output
}

// oneByOne is the history of operations of which each begins when the one
// before is over.
func oneByOne(ops []op) []porcupine.Operation {
	var out []porcupine.Operation
	for i, op := range ops {
		out = append(out, porcupine.Operation{Input: op.in, Call: int64(2 * i), Output: op.out, Return: int64(2*i + 1)})
	}
	return out
}
