package enginetest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// history is all that is known of a month.
func history(tb testing.TB, w *enginetest.World) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := w.WriteHistory(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// digestEnv has the test below print what it finds for another process.
const digestEnv = "ENGINETEST_DIGEST"

func TestTheSameSeedGivesTheSameHistoryByteForByte(t *testing.T) {
	w, _ := month(t, 42, 200)
	first := history(t, w)
	if os.Getenv(digestEnv) != "" {
		fmt.Printf("digest %s\n", digest(first))
		return
	}
	if lines := bytes.Count(first, []byte("\n")); lines < 200*10 {
		t.Errorf("the history has only %d lines", lines)
	}
	if calls := bytes.Count(first, []byte("\n{\"call_id\":")); calls < 200 {
		t.Errorf("%d entries of the call log are in it", calls)
	}
	w, _ = month(t, 42, 200)
	if again := history(t, w); !bytes.Equal(first, again) {
		t.Errorf("the second time the history is another, from byte %d", difference(first, again))
	}
	if w, _ := month(t, 43, 200); bytes.Equal(first, history(t, w)) {
		t.Error("another seed has the same history")
	}
	for _, procs := range []string{"1", "7"} {
		cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), digestEnv+"=yes", "GOMAXPROCS="+procs, "TZ=Asia/Tokyo")
		out, err := cmd.CombinedOutput()
		if want := "digest " + digest(first) + "\n"; err != nil || !strings.Contains(string(out), want) {
			t.Errorf("with GOMAXPROCS=%s another process says\n%s(%v), want %s", procs, out, err, want)
		}
	}
}

func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func TestTheStoreMakesNoDifference(t *testing.T) {
	w, _ := month(t, 5, 50)
	usual := history(t, w)
	for name, open := range map[string]func(t *testing.T) store.Store{
		"sqlite": func(t *testing.T) store.Store { return new(brokenStore).over(t) }, "postgres": inPostgres,
	} {
		t.Run(name, func(t *testing.T) {
			w := enginetest.New(t, enginetest.Config{Seed: 5, Script: people(), Store: open(t)})
			w.EnrollMany(t, w.Activate(t, nurture()), 50)
			w.Run(t, 30*day)
			if stored := history(t, w); !bytes.Equal(usual, stored) {
				t.Errorf("differs from byte %d", difference(usual, stored))
			}
		})
	}
}

func inPostgres(t *testing.T) store.Store {
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	st, err := postgres.Open(t.Context(), pgtest.URL(), postgres.Options{Schema: pgtest.Schema(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func TestHowTimeIsCutUpChangesNothing(t *testing.T) {
	w, _ := month(t, 5, 50)
	atOnce := history(t, w)
	w = enginetest.New(t, enginetest.Config{Seed: 5, Script: people()})
	w.EnrollMany(t, w.Activate(t, nurture()), 50)
	for range 30 * 24 * 4 {
		w.Run(t, 15*time.Minute)
	}
	if byParts := history(t, w); !bytes.Equal(atOnce, byParts) {
		t.Errorf("differs from byte %d", difference(atOnce, byParts))
	}
}

// firstOutcomes says what came of the first visit of each lead to a node.
func firstOutcomes(t *testing.T, def *workflow.Definition, script enginetest.Script, node string) map[int64]string {
	t.Helper()
	w := enginetest.New(t, enginetest.Config{Seed: 9, Script: script})
	out := map[int64]string{}
	ids := w.EnrollMany(t, w.Activate(t, def), 200)
	w.Run(t, 30*day)
	for _, id := range ids {
		for _, s := range w.History(t, id) {
			if s.NodeID == node && !s.Scheduled && s.Status.Final() && s.Status != lead.StepCancelled {
				out[id.Seq()] = fmt.Sprint(s.Outcome, " ", len(s.Attempts), " ", s.ExitedAt.Sub(s.EnteredAt))
				break
			}
		}
	}
	return out
}

// What chance decides at one node does not hang on what happens at others.
func TestAChangeDoesNotReshuffleTheRest(t *testing.T) {
	want := firstOutcomes(t, nurture(), people(), "follow-up")
	if len(want) < 50 {
		t.Fatalf("only %d leads came to the node", len(want))
	}
	changed := people()
	changed["welcome"] = enginetest.OneOf(enginetest.Weighted(1, enginetest.Outcome("dnp")), enginetest.Weighted(9, enginetest.Outcome("completed")))
	changed["guide"] = enginetest.Outcome("sent").Taking(time.Minute)
	longer := nurture()
	longer.Nodes = append(longer.Nodes, workflow.MessageNode("hello", nil), workflow.Wait("breath", time.Hour))
	longer.Edges = append(longer.Edges, workflow.On("hello", "default", "breath"), workflow.To("breath", "welcome"))
	longer.Entry = "hello"
	for name, got := range map[string]map[int64]string{
		"other answers at other nodes": firstOutcomes(t, nurture(), changed, "follow-up"),
		"more nodes before":            firstOutcomes(t, longer, people(), "follow-up"),
		"more nodes and other answers": firstOutcomes(t, longer, changed, "follow-up"),
	} {
		both := 0
		for lead, outcome := range got {
			if want[lead] != "" {
				both++
				if want[lead] != outcome {
					t.Errorf("%s: lead %d: %s, want %s", name, lead, outcome, want[lead])
				}
			}
		}
		if both < 50 {
			t.Errorf("%s: only %d leads to compare", name, both)
		}
	}
	changed = people()
	changed["follow-up"] = enginetest.OneOf(enginetest.Weighted(1, enginetest.Outcome("dnp")), enginetest.Weighted(1, enginetest.Outcome("completed")))
	if got := firstOutcomes(t, nurture(), changed, "follow-up"); fmt.Sprint(got) == fmt.Sprint(want) {
		t.Error("other odds gave the same outcomes")
	}
}
