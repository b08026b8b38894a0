package life

import (
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// permission says whether an attempt may begin.
type permission int

const (
	allowed permission = iota
	later              // not before ruling.until, or until something else has changed
	never              // the step in flight ends instead
)

// ruling is the answer of a rule: whether the attempt may begin and, if later, when to
// ask again; zero means when something else has changed.
type ruling struct {
	may   permission
	until time.Time
}

// mayBegin has all rules that keep a due attempt from beginning: the first of a step, a
// retry, or one that a crash interrupted. The strictest one holds.
func (w *World) mayBegin(l *Lead) permission { return w.rule(l).may }

// Rests reports whether the lead's next attempt waits for a time that a rule gives, or for
// a limit.
func (w *World) Rests(l *Lead) bool { return !w.rule(l).until.IsZero() || w.limited(l).may == later }

// rule returns the strictest ruling, with the latest of the times that rules give.
func (w *World) rule(l *Lead) (strictest ruling) {
	for _, rule := range []func(*World, *Lead) ruling{
		(*World).shutDown, (*World).deleted, (*World).stopped, (*World).suppressed, (*World).paused, (*World).held,
		(*World).givenUp, (*World).hopeless, (*World).poisonous, (*World).cooling, (*World).closed, (*World).limited,
	} {
		r := rule(w, l)
		strictest.may = max(strictest.may, r.may)
		if r.until.After(strictest.until) {
			strictest.until = r.until
		}
	}
	return strictest
}

func (w *World) shutDown(*Lead) ruling { return unless(!w.Draining, later) }

func (w *World) deleted(l *Lead) ruling { return unless(!l.Flow.Deleted, later) }

// stopped: a cancelled workflow drops the retries of its leads.
func (w *World) stopped(l *Lead) ruling {
	return unless(l.Flow.Status != lead.WorkflowCancelled, never)
}

// paused: in a paused workflow no attempt begins, not even a retry (promise 17). But a
// removal never waits for a resume.
func (w *World) paused(l *Lead) ruling {
	if l.State == lead.PendingRemoval {
		return unless(l.Flow.active(), never)
	}
	return unless(l.Flow.active(), later)
}

// held: no attempt of a held lead begins, not even a retry (promise 17). But a removal
// never waits for a release.
func (w *World) held(l *Lead) ruling {
	switch {
	case l.Hold == nil:
		return ruling{}
	case l.State == lead.PendingRemoval:
		return ruling{may: never}
	}
	return ruling{later, l.Hold.Until}
}

// givenUp: no further attempt is made after a removal with SkipRetries.
func (w *World) givenUp(l *Lead) ruling {
	return unless(l.State != lead.PendingRemoval || !l.Removal.SkipRetries, never)
}

// hopeless: a removal does not wait for an attempt that could not be made, or that is
// parked.
func (w *World) hopeless(l *Lead) ruling {
	return unless(l.State != lead.PendingRemoval || !l.parked && (l.Doing != Retrying || l.At.notMade == 0), never)
}

// poisonous: an attempt during which the process ended too often is not made again.
func (w *World) poisonous(l *Lead) ruling { return unless(!l.parked, later) }

// cooling: after an attempt that could not be made, others with the same rate key wait
// for a back-off.
func (w *World) cooling(l *Lead) ruling {
	until := w.rests[w.key(l, w.Now)].until
	if !until.After(w.Now) {
		return ruling{}
	}
	return ruling{later, until}
}

func unless(ok bool, p permission) ruling {
	if ok {
		return ruling{}
	}
	return ruling{may: p}
}

// MayBegin reports whether a handler may be called for the lead by the time by, as soon
// as a worker is free. If the time is known exactly, by is w.Now, and the handler must
// be called if a worker is free.
func (w *World) MayBegin(l *Lead, by time.Time) bool {
	if l.State.Final() || w.mayBegin(l) != allowed {
		return false
	}
	switch l.Doing {
	case Resting:
		return !l.At.ScheduledAt.After(by) && l.At.Node.Type.Action() || w.messageDue(l, by) != nil
	case Retrying:
		return !l.At.last().DueAt.After(by)
	case Lost:
		return l.called == nil && l.Deadline.After(w.Now) && !l.At.Node.FailsUnknown
	}
	return false
}

// dropped is how a step ends that is to have no further attempt.
func (w *World) dropped(l *Lead, text string) ending {
	e := l.failure(w.Now, text)
	if w.suppressed(l).may == never {
		e.outcome = lead.OutcomeSuppressed
	}
	return e
}

// drop ends a step that is to have no further attempt, unless one is in flight: its
// next one is queued, or a crash has interrupted it. It reports whether it did.
func (w *World) drop(l *Lead) bool {
	if w.mayBegin(l) != never {
		return false
	}
	switch {
	case l.Doing == Retrying:
		text := l.At.last().Error // that of the attempt that was not made
		if l.At.notMade == 0 {
			text = l.Begun().Error
		}
		w.ends(l, w.dropped(l, text))
	case l.Doing == Lost && l.called == nil && l.Deadline.After(w.Now):
		w.ends(l, w.dropped(l, AnyText))
	default:
		return false
	}
	return true
}
