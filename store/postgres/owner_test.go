package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
)

// child is what the variable of that name has the test's own program do instead of its
// tests: own a schema, and change a lead over and over.
const child = "LEADFLOW_TEST_OWNER"

func TestMain(m *testing.M) {
	if schema := os.Getenv(child); schema != "" {
		if err := own(schema); err != nil {
			fmt.Printf("error %t %q\n", errors.Is(err, store.ErrLost), err.Error())
		}
		return
	}
	os.Exit(m.Run())
}

const testLease = time.Second

// own tells on stdout of every version that was committed.
func own(schema string) error {
	ctx := context.Background()
	s, err := postgres.Open(ctx, os.Getenv("LEADFLOW_POSTGRES"), postgres.Options{Schema: schema, Lease: testLease})
	if err != nil {
		return err
	}
	for {
		l, err := s.Lead(ctx, 1)
		if err != nil {
			return err
		}
		if _, err := s.Commit(ctx, &store.Batch{Changes: []store.Change{next(l.Record)}}); err != nil {
			return err
		}
		fmt.Println("version", l.Version+1, s.Held(0))
	}
}

// next is the next version of a lead.
func next(r store.Record) store.Change {
	after := r
	after.Version++
	after.Visit++
	return store.Change{Before: r, After: after}
}

// enrolled makes a store with one lead, whose number is 1.
func enrolled(t *testing.T, s *postgres.Store) {
	t.Helper()
	id, err := lead.NewWorkflowID()
	if err != nil {
		t.Fatal(err)
	}
	seq, err := s.Reserve(t.Context(), store.LeadSequence, 1)
	if err != nil || seq != 1 {
		t.Fatalf("the first number is %d, %v", seq, err)
	}
	wf, err := s.Reserve(t.Context(), store.WorkflowSequence, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), &store.Batch{
		Workflows: []store.Workflow{{Seq: wf, ID: id, Version: 1, Status: lead.WorkflowActive}},
		Enroll: []store.Enrollment{{
			Record:  store.Record{Seq: seq, Workflow: wf, Version: 1, State: lead.Enrolled, Phase: store.PhaseWaiting, Visit: 1, Visits: 1, Wake: 1},
			Contact: store.Contact{Seq: seq, Phone: 14155552671},
		}},
	}); err != nil {
		t.Fatal(err)
	}
}

// A process that is stopped for longer than its lease, wherever it is in a commit, loses
// its place within the lease and some seconds, and commits nothing when it goes on.
func TestAStoppedOwnerCommitsNothing(t *testing.T) {
	for range 3 {
		o := postgres.Options{Schema: schema(t), Lease: testLease}
		s := open(t, o)
		enrolled(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), child+"="+o.Schema)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		lines := bufio.NewScanner(out)
		for range 20 {
			if !lines.Scan() || !strings.HasSuffix(lines.Text(), " true") {
				t.Fatalf("the owner said %q", lines.Text())
			}
		}
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		stopped := time.Now()
		after := open(t, o)
		for {
			m, err := after.Sync(t.Context(), true, 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Others) == 0 && len(m.Shards) == store.Shards {
				break
			}
			if time.Since(stopped) > testLease+10*time.Second {
				t.Fatalf("%s after the engine was stopped: %+v", time.Since(stopped), m)
			}
			time.Sleep(min(m.Next, 20*time.Millisecond))
		}
		t.Logf("taken over after %s", time.Since(stopped).Round(time.Millisecond))
		l, err := after.Lead(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		// A session that was left in the middle of a transaction has no lock any more.
		if _, err := after.Commit(t.Context(), &store.Batch{Changes: []store.Change{next(l.Record)}}); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		said := strings.Split(strings.TrimSpace(string(rest)), "\n")
		if last := said[len(said)-1]; !strings.HasPrefix(last, "error true ") {
			t.Errorf("the owner of before went on, and said %q", said)
		}
		for _, line := range said[:len(said)-1] { // what it had committed before
			var version int64
			var held bool
			if _, err := fmt.Sscanf(line, "version %d %t", &version, &held); err != nil || version > l.Version || held && version == l.Version+1 {
				t.Errorf("after version %d the owner of before said %q", l.Version, line)
			}
		}
		if is, err := after.Lead(t.Context(), 1); err != nil || is.Version != l.Version+1 {
			t.Errorf("the lead has version %d, %v; want %d", is.Version, err, l.Version+1)
		}
	}
}

// settle calls Sync on each of the stores, giving up what is to be given up, until
// nothing changes any more, and returns the shards of each.
func settle(t *testing.T, stores []*postgres.Store) [][]int16 {
	t.Helper()
	shards := make([][]int16, len(stores))
	for quiet := 0; quiet < 2; quiet++ {
		for i, s := range stores {
			m, err := s.Sync(t.Context(), true, 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Give) > 0 {
				if _, err := s.Commit(t.Context(), &store.Batch{Share: store.Share{Release: m.Give}}); err != nil {
					t.Fatal(err)
				}
			}
			if len(m.Give) > 0 || len(m.Shards) != len(shards[i]) {
				quiet = 0
			}
			shards[i] = m.Shards
		}
	}
	return shards
}

// Whoever joins or leaves, the shards are spread evenly, and each is one engine's.
func TestShardsAreSpreadEvenly(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	var stores []*postgres.Store
	check := func(when string) {
		t.Helper()
		of := map[int16]int{}
		for i, list := range settle(t, stores) {
			if n := len(list); n != store.Shards/len(stores) && n != store.Shards/len(stores)+1 {
				t.Errorf("%s engine %d of %d has %d shards", when, i, len(stores), n)
			}
			for _, shard := range list {
				if other, taken := of[shard]; taken {
					t.Errorf("%s engines %d and %d have shard %d", when, other, i, shard)
				}
				of[shard] = i
			}
		}
		if len(of) != store.Shards {
			t.Errorf("%s %d shards are an engine's", when, len(of))
		}
	}
	for i := range 7 {
		stores = append(stores, open(t, o))
		check(fmt.Sprintf("after %d came", i+1))
	}
	for len(stores) > 1 {
		at := len(stores) / 2
		if err := stores[at].Close(); err != nil {
			t.Fatal(err)
		}
		stores = append(stores[:at], stores[at+1:]...)
		check(fmt.Sprintf("with %d left", len(stores)))
	}
}

// Many engines that start at the same moment, on a database that has nothing yet, each
// get a place of their own.
func TestManyJoinAtOnce(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	const many = 8
	type result struct {
		s   *postgres.Store
		m   store.Membership
		err error
	}
	results := make(chan result, many)
	for range many {
		go func() {
			s, err := postgres.Open(t.Context(), server(t), o)
			if err != nil {
				results <- result{err: err}
				return
			}
			m, err := s.Sync(t.Context(), false, 0)
			results <- result{s, m, err}
		}()
	}
	places := map[int64]bool{}
	for range many {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
			continue
		}
		defer r.s.Close()
		places[r.m.Engine] = true
	}
	if len(places) != many {
		t.Errorf("the places are %v", places)
	}
}

// A batch that was decided on workflows that others have changed since is refused, and
// so is one that says itself that it was (see store.Share).
func TestABatchOfBeforeAChangeOfWorkflowsIsRefused(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s, other := open(t, o), open(t, o)
	enrolled(t, s)
	m, err := s.Sync(t.Context(), true, 0)
	if err != nil {
		t.Fatal(err)
	}
	id, err := lead.NewWorkflowID()
	if err != nil {
		t.Fatal(err)
	}
	wf, err := other.Reserve(t.Context(), store.WorkflowSequence, 1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Lead(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	b := store.Batch{Changes: []store.Change{next(l.Record)}, Share: store.Share{Engine: m.Engine, Flows: math.MaxInt64}}
	if _, err := s.Commit(t.Context(), &b); !errors.Is(err, store.ErrBehind) {
		t.Errorf("of workflows that it does not know: %v", err)
	}
	if _, err := other.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{{Seq: wf, ID: id, Version: 1, Status: lead.WorkflowDraft}}}); err != nil {
		t.Fatal(err)
	}
	b.Share.Flows = m.Flows
	if _, err := s.Commit(t.Context(), &b); !errors.Is(err, store.ErrBehind) {
		t.Errorf("of the workflows of before: %v", err)
	}
	if m, err = s.Sync(t.Context(), true, m.Flows); err != nil {
		t.Fatal(err)
	}
	b.Share.Flows = m.Flows
	if _, err := s.Commit(t.Context(), &b); err != nil {
		t.Errorf("of the present workflows: %v", err)
	}
}

// lose ends the places of a schema's engines, as a takeover does that cannot end their
// sessions.
func lose(t *testing.T, schema string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "UPDATE "+schema+".engines SET over = true"); err != nil {
		t.Fatal(err)
	}
}

// What keeps an engine that has lost its place from writing is its row, and not that its
// session was ended.
func TestALostPlaceCommitsNothing(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s := open(t, o)
	enrolled(t, s)
	l, err := s.Lead(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	lose(t, o.Schema)
	if _, err := s.Commit(t.Context(), &store.Batch{Changes: []store.Change{next(l.Record)}}); !errors.Is(err, store.ErrLost) {
		t.Errorf("a commit in a place that was lost: %v", err)
	}
	if s.Held(0) {
		t.Error("the place is held afterwards")
	}
}

// An engine that has lost its place gets a new one, under a number that nobody had.
func TestAPlaceThatIsLostIsNotGotAgain(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s := open(t, o)
	before, err := s.Sync(t.Context(), true, 0)
	if err != nil {
		t.Fatal(err)
	}
	lose(t, o.Schema)
	after, err := s.Sync(t.Context(), true, 0)
	if err != nil {
		t.Fatal(err)
	}
	if after.Engine <= before.Engine {
		t.Errorf("an engine that had place %d gets %d", before.Engine, after.Engine)
	}
	if s.Held(before.Engine) || !s.Held(after.Engine) {
		t.Errorf("its old place is held: %t, its new one: %t", s.Held(before.Engine), s.Held(after.Engine))
	}
}
