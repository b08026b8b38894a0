package crash

import (
	"context"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// This file has what the parent of the crash test knows of people who are suppressed:
// nobody brings them back, whatever process is killed (promise 13).

// suppressed hears that a person is suppressed, and reports whether a lead was removed. If
// none was, and the suppression is new, the lead was final, or was not enrolled yet. If it
// is not new, the process that has made it was killed before it could say so.
func (r *run) suppressed(l *subject, ev event) bool {
	if ev.Error != "" {
		r.fault("%s cannot be suppressed: %s", l.name, ev.Error)
		return false
	}
	l.stopped = r.round
	r.figures.suppressed++
	if r.rand("back", l.name).IntN(2) == 0 {
		r.bringBack(l)
	}
	if ev.State != "" {
		r.identify(l, ev.Lead)
		return true
	}
	l.removal.refused = true
	r.figures.lateRemovals++
	return false
}

// bringBack tries to enroll somebody who is suppressed.
func (r *run) bringBack(l *subject) {
	r.figures.broughtBack++
	r.command(command{Kind: "enroll", Contact: l.contact}, func(ev event) {
		if ev.Refusal != "suppressed" {
			r.fault("%s is suppressed, and can be enrolled: %s", l.name, ev.Error)
		}
	})
}

// surveySuppressions compares the suppressions in the file with what was acknowledged, and
// with the leads in the file.
func (r *run) surveySuppressions(ctx context.Context, s *sqlite.Store) error {
	rows, err := s.Suppressions(ctx, store.SuppressionQuery{})
	if err != nil {
		return err
	}
	there := map[string]int{}
	for _, row := range rows {
		there[row.Reason]++ // which names the person
	}
	for _, l := range r.leads {
		n := there[l.reason()]
		delete(there, l.reason())
		switch {
		case n == 0 && l.stopped >= 0:
			r.fault("that %s is suppressed was acknowledged, and is not in the file", l.name)
		case n == 0 && l.barred:
			r.fault("%s was refused as suppressed, which is not in the file", l.name)
		case n > 1, n == 1 && !(l.removal.person && l.removal.wanted):
			r.fault("%s is suppressed %d times in the file", l.name, n)
		}
		f := l.found
		switch {
		case f == nil:
		case n == 0 && l.removal.person && f.view.Removal != nil:
			r.fault("the file has the removal by a suppression, and not the suppression: %s", f)
		case n == 1 && f.view.Removal == nil && !f.State.Final():
			r.fault("the file has a suppression, and not the removal: %s", f)
		}
	}
	for reason := range there {
		r.fault("the file has a suppression of nobody: %s", reason)
	}
	return nil
}
