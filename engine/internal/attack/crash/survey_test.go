package crash

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// This file has what the parent of the crash test checks in the file that a dead child
// has left; verify_test.go checks the last one.

// found is a lead as the file has it.
type found struct {
	store.Lead
	view  lead.Lead
	steps []lead.Step
	// life has led to this, as the process has it that is started next: it did not do
	// anything yet.
	life    *life.World
	touched bool // something was asked of the lead since
}

func (f *found) sight() life.Sight { return life.Sight{Lead: f.view, Steps: f.steps} }

// currentStep is the step that the lead is, or was last, at.
func (f *found) currentStep() lead.StepID {
	return lead.NewStepID(f.Entered.Time(), f.Contact.ID, f.Visit)
}

// step returns a step of the history, or one that is nothing.
func (f *found) step(id lead.StepID) *lead.Step {
	for i := range f.steps {
		if f.steps[i].ID == id {
			return &f.steps[i]
		}
	}
	return &lead.Step{}
}

func (f *found) where() string {
	phase := []string{"", "waiting", "running", "awaiting its callback", "retrying", "in its hooks", "ended"}[f.Phase]
	return fmt.Sprintf("step %s %s, attempt %d, due %s", f.currentStep(), phase, f.Attempt, f.Due.Time().Format("15:04:05.000"))
}

func (f *found) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is %s at %s (%s), outcome %q, removal %+v\n", f.view.ID, f.view.State, f.view.Node, f.where(), f.view.Outcome, f.view.Removal)
	for _, s := range f.steps {
		fmt.Fprintf(&b, "\t%s %s %s %q %s", s.ID, s.NodeID, s.Status, s.Outcome, s.Error)
		if s.Scheduled {
			b.WriteString(" (scheduled)")
		}
		fmt.Fprintf(&b, ", entered %s, left %s", s.EnteredAt.Format("05.000"), s.ExitedAt.Format("05.000"))
		for _, a := range s.Attempts {
			fmt.Fprintf(&b, "; %d %s %s-%s %s", a.Number, a.Status, a.StartedAt.Format("05.000"), a.EndedAt.Format("05.000"), a.Error)
		}
		for _, e := range s.HookErrors {
			fmt.Fprintf(&b, "; hook %s", e)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// survey reads a copy of the file, so that the next child recovers the file itself, and
// compares it with all that was acknowledged and seen.
func (r *run) survey() {
	path := r.log + ".copy" // elsewhere
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.Fatal(err)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		if err := copyFile(path+suffix, r.path+suffix); err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			r.Fatal(err)
		}
	}
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, sqlite.Options{Synchronous: sqlite.Normal})
	if err != nil {
		r.Fatalf("round %d: the file cannot be opened: %v", r.round, err)
	}
	if eng, err := engine.New(s, engine.Config{}); err != nil {
		r.Errorf("round %d: %v", r.round, err)
	} else if err := errors.Join(r.surveyLeads(ctx, s, eng), r.surveySuppressions(ctx, s), r.surveyDoomed(ctx, s, eng), r.surveyCalls(ctx, eng), eng.Shutdown(ctx)); err != nil {
		r.Errorf("round %d: %v", r.round, err)
	}
	if err := s.Close(); err != nil {
		r.Errorf("round %d: %v", r.round, err)
	}
	if verdict, err := integrity(path); err != nil || verdict != "ok" {
		r.fault("integrity_check says %q, %v", verdict, err)
	}
	if r.Failed() && r.faults == 0 {
		r.FailNow()
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func integrity(path string) (verdict string, err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return "", err
	}
	err = db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict)
	return verdict, errors.Join(err, db.Close())
}

func (r *run) surveyLeads(ctx context.Context, s *sqlite.Store, eng *engine.Engine) error {
	flows, err := s.Workflows(ctx)
	if err != nil {
		return err
	}
	rows, err := s.Leads(ctx, store.LeadQuery{Workflow: flows[0].Seq})
	if err != nil {
		return err
	}
	there, counts, live := map[string]store.Lead{}, map[lead.State]int64{}, 0
	for _, row := range rows {
		name := row.Contact.ExternalID
		if _, twice := there[name]; twice || r.names[name] == nil {
			r.fault("the file has a lead too many of contact %q: %s", name, row.Contact.ID)
		}
		there[name] = row
		counts[row.State]++
		if !row.State.Final() {
			live++
		}
	}
	stored, err := s.Counts(ctx, flows[0].Seq)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(counts, stored); diff != "" {
		r.fault("the file's counts are not those of its leads:\n%s", diff)
	}
	due, err := s.Due(ctx, store.Key{}, store.MaxMillis, math.MaxInt32)
	if err != nil {
		return err
	}
	due = slices.DeleteFunc(due, func(d store.Record) bool { return d.Workflow != flows[0].Seq })
	if len(due) != live {
		r.fault("%d leads of the file are live, and %d stand in due order", live, len(due))
	}
	for _, l := range r.leads {
		row, ok := there[l.name]
		switch {
		case !ok && l.acked:
			r.fault("lead %s of %s was acknowledged and is not in the file", l.id, l.name)
		case !ok && len(l.steps) > 0:
			r.fault("handlers or hooks were called for %s, who is not in the file", l.name)
		}
		if !ok || l.found != nil && l.found.State.Final() && l.found.Version == row.Version {
			continue
		}
		f := &found{Lead: row}
		if f.view, err = eng.Lead(ctx, r.id, row.Contact.ID); err != nil {
			return err
		}
		if f.steps, err = eng.History(ctx, r.id, row.Contact.ID); err != nil {
			return err
		}
		r.surveyLead(l, f)
	}
	return nil
}

// surveyLead asks whether a life can have left what the file has of a lead, and
// compares it with what was acknowledged and seen, and with what the file had
// before.
func (r *run) surveyLead(l *subject, f *found) {
	r.identify(l, f.Contact.ID)
	before := l.found
	l.acked, l.found = true, f
	fault := func(format string, args ...any) {
		r.Helper()
		r.fault("lead %s of %s: %s; the file has:\n%s", l.id, l.name, fmt.Sprintf(format, args...), f)
	}
	broken := slices.Concat(f.sight().Check(), l.seen.Check(f.sight()))
	if before != nil {
		broken = append(broken, f.sight().Since(before.sight())...)
	}
	for _, b := range broken {
		fault("%s", b)
	}
	var err error
	if f.life, err = life.Replay(r.flow, life.Record{Lead: f.view, Steps: f.steps}); err != nil {
		fault("%v", err)
		f.touched = true
	} else {
		f.life.Hooks = []string{"witness"}
		f.life.Crash()
	}
	switch m := f.view.Removal; {
	case l.removal.refused && !f.State.Final():
		fault("its removal was refused as if it were final")
	case m != nil && (!l.removal.wanted || m.Reason != l.reason() || m.Actor == "" || m.SkipRetries != l.removal.skip):
		fault("its removal is not as it was asked for")
	}
	// What the engine goes by is not what a reader sees.
	next := f.view.NextActionAt
	switch {
	case f.State.Final():
		if f.Wake != 0 || f.Due != 0 || f.Deadline != 0 {
			fault("is final and has something to do at %s", f.Wake.Time())
		}
	case f.Wake == 0 || f.Wake > max(store.MillisOf(next), f.Updated): // promise 10
		fault("is live and nobody will act on it, or too late: at %s, and wakes at %s", next, f.Wake.Time())
	case (f.Phase == store.PhaseRunning || f.Phase == store.PhaseAwaiting) != (f.Deadline != 0):
		fault("has the deadline %s", f.Deadline.Time())
	}
}

// surveyCalls reads the call log when all is over: see verify.
func (r *run) surveyCalls(ctx context.Context, eng *engine.Engine) error {
	if !r.planned.last {
		return nil
	}
	calls, _, err := eng.Calls(ctx, engine.CallFilter{WorkflowID: r.id})
	r.calls = map[lead.ID][]lead.Call{}
	for _, c := range calls {
		r.calls[c.LeadID] = append(r.calls[c.LeadID], c)
	}
	return err
}

// stuck names the leads that no longer move.
func (r *run) stuck() {
	for _, l := range r.leads {
		if l.found == nil {
			r.Errorf("%s is not in the file", l.name)
		} else if !l.found.State.Final() {
			r.Errorf("stuck: %s", l.found)
		}
	}
	r.Fatalf("nothing happened for %s; replay with LEADFLOW_SEED=%d", patience, r.seed)
}
