package engine_test

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
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// This file is what the parent of the crash test reads in the file that the
// dead child has left, of which crash_verify_test.go reads the last.

// crashFound is a lead as the file has it.
type crashFound struct {
	store.Lead
	view  lead.Lead
	steps []lead.Step
}

// currentStep is the step that the lead is, or was last, at.
func (f *crashFound) currentStep() lead.StepID {
	return lead.NewStepID(f.Entered.Time(), f.Contact.ID, f.Visit)
}

// step returns a step of the history, or one that is nothing.
func (f *crashFound) step(id lead.StepID) *lead.Step {
	for i := range f.steps {
		if f.steps[i].ID == id {
			return &f.steps[i]
		}
	}
	return &lead.Step{}
}

func (f *crashFound) where() string {
	phase := []string{"", "waiting", "running", "awaiting its callback", "retrying", "in its hooks", "ended"}[f.Phase]
	return fmt.Sprintf("step %s %s, attempt %d, due %s", f.currentStep(), phase, f.Attempt, f.Due.Time().Format("15:04:05.000"))
}

func (f *crashFound) String() string {
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

// survey reads a copy of the file, so that it is the next child that recovers
// the file itself, and compares it with all that was acknowledged and seen.
func (r *crashRun) survey() {
	path := r.log + ".copy" // elsewhere
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.Fatal(err)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		if err := crashCopy(path+suffix, r.path+suffix); err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
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
	} else if err := errors.Join(r.surveyLeads(ctx, s, eng), r.surveyDoomed(ctx, s, eng), r.surveyCalls(ctx, eng), eng.Shutdown(ctx)); err != nil {
		r.Errorf("round %d: %v", r.round, err)
	}
	if err := s.Close(); err != nil {
		r.Errorf("round %d: %v", r.round, err)
	}
	if verdict, err := crashIntegrity(path); err != nil || verdict != "ok" {
		r.fault("integrity_check says %q, %v", verdict, err)
	}
	if r.Failed() && r.faults == 0 {
		r.FailNow()
	}
}

func crashCopy(to, from string) error {
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

func crashIntegrity(path string) (verdict string, err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return "", err
	}
	err = db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict)
	return verdict, errors.Join(err, db.Close())
}

func (r *crashRun) surveyLeads(ctx context.Context, s *sqlite.Store, eng *engine.Engine) error {
	flows, err := s.Workflows(ctx)
	if err != nil {
		return err
	}
	rows, err := s.Leads(ctx, store.LeadQuery{Workflow: flows[0].Seq})
	if err != nil {
		return err
	}
	found, counts, live := map[string]store.Lead{}, map[lead.State]int64{}, 0
	for _, row := range rows {
		name := row.Contact.ExternalID
		if _, twice := found[name]; twice || r.names[name] == nil {
			r.fault("the file has a lead too many of contact %q: %s", name, row.Contact.ID)
		}
		found[name] = row
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
		row, ok := found[l.name]
		switch {
		case !ok && l.acked:
			r.fault("lead %s of %s was acknowledged and is not in the file", l.id, l.name)
		case !ok && len(l.steps) > 0:
			r.fault("handlers or hooks were called for %s, who is not in the file", l.name)
		}
		if !ok || l.found != nil && l.found.State.Final() && l.found.Version == row.Version {
			continue
		}
		f := &crashFound{Lead: row}
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

// surveyLead compares a lead of the file with what was acknowledged and seen
// (promise 1), and with what the file had before (promise 7).
func (r *crashRun) surveyLead(l *crashLead, f *crashFound) {
	r.identify(l, f.Contact.ID)
	before := l.found
	l.acked, l.found = true, f
	fault := func(format string, args ...any) {
		r.Helper()
		r.fault("lead %s of %s: %s; the file has:\n%s", l.id, l.name, fmt.Sprintf(format, args...), f)
	}
	if before != nil {
		if before.State.Final() {
			fault("changed after it was final")
		}
		for _, s := range before.steps {
			if s.Status.Final() && !s.ExitedAt.IsZero() && !cmp.Equal(s, *f.step(s.ID)) {
				fault("its history changed: %s", cmp.Diff(s, *f.step(s.ID)))
			}
		}
	}
	for _, s := range l.steps {
		h := f.step(s.id)
		for _, a := range s.attempts {
			if len(h.Attempts) < a.number {
				fault("%s was made and is not in the file", a)
			}
		}
		if s.hooks > 0 && h.Outcome != s.outcome {
			fault("the hook of %s was told %q, and its outcome is %q", s.id, s.outcome, h.Outcome)
		}
		if s.acked != "" && h.Outcome != s.acked {
			fault("the outcome %q of %s was acknowledged, and %q is in the file", s.acked, s.id, h.Outcome)
		}
	}
	switch m := f.view.Removal; {
	case l.removal.acked && (m == nil || f.State != lead.PendingRemoval && f.State != lead.Removed):
		fault("its removal was acknowledged")
	case l.removal.refused && !f.State.Final():
		fault("its removal was refused as if it were final")
	case m != nil && (!l.removal.wanted || m.Reason != l.reason() || m.Actor == "" || m.SkipRetries != l.removal.skip):
		fault("its removal is not as it was asked for")
	}
	next := f.view.NextActionAt
	switch {
	case f.State.Final():
		if !next.IsZero() || f.Wake != 0 || f.Due != 0 || f.Deadline != 0 {
			fault("is final and has something to do at %s", next)
		}
	case next.IsZero() || f.Wake == 0 || f.Wake > max(store.MillisOf(next), f.Updated): // promise 10
		fault("is live and nobody will act on it, or too late: at %s, and wakes at %s", next, f.Wake.Time())
	case (f.Phase == store.PhaseRunning || f.Phase == store.PhaseAwaiting) != (f.Deadline != 0):
		fault("has the deadline %s", f.Deadline.Time())
	}
}

// surveyCalls compares the call log with the history: one entry for each
// attempt at a call, none more.
func (r *crashRun) surveyCalls(ctx context.Context, eng *engine.Engine) error {
	if !r.planned.last {
		return nil
	}
	calls, _, err := eng.Calls(ctx, engine.CallFilter{WorkflowID: r.id})
	if err != nil {
		return err
	}
	logged := map[lead.StepID][]lead.Call{}
	for _, c := range calls {
		logged[c.StepID] = append(logged[c.StepID], c)
	}
	for _, l := range r.leads {
		for _, h := range l.found.steps {
			made := 0
			for _, a := range h.Attempts {
				if a.Status != lead.StepCancelled && h.NodeType == string(workflow.VoiceCall) {
					made++
				}
			}
			list := logged[h.ID]
			delete(logged, h.ID)
			if len(list) != made {
				r.fault("step %s of lead %s made %d calls, and the log has %d", h.ID, l.id, made, len(list))
				continue
			}
			for i, c := range list {
				if c.LeadID != l.id || c.Attempt != i+1 || !c.Status.Final() || c.PhoneNumber != l.contact.PhoneNumber {
					r.fault("call %d of step %s of lead %s is in the log as %+v", i+1, h.ID, l.id, c)
				}
			}
			if made > 0 && list[made-1].Outcome != h.Outcome && h.Attempts[made-1].Status == lead.StepCompleted {
				r.fault("the last call of step %s of lead %s has the outcome %q, the step %q", h.ID, l.id, list[made-1].Outcome, h.Outcome)
			}
		}
	}
	for id, list := range logged {
		r.fault("the log has %d calls of step %s, which is nobody's", len(list), id)
	}
	return nil
}

// stuck names the leads that no longer move.
func (r *crashRun) stuck() {
	for _, l := range r.leads {
		if l.found == nil {
			r.Errorf("%s is not in the file", l.name)
		} else if !l.found.State.Final() {
			r.Errorf("stuck: %s", l.found)
		}
	}
	r.Fatalf("nothing happened for %s; replay with LEADFLOW_SEED=%d", crashPatience, r.seed)
}
