package life

import (
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// permission says whether an attempt may begin.
type permission int

const (
	allowed permission = iota
	later              // not before something else has changed
	never              // the step in flight ends instead
)

// ruling is what a rule says: may the attempt begin, and if later, when to ask
// again; zero for when something else has changed.
type ruling struct {
	may   permission
	until time.Time
}

// mayBegin is where every rule stands that keeps a lead from beginning an attempt
// whose time has come: the first of a step, a further one, or the same again after
// a crash. The strictest one holds.
func (w *World) mayBegin(l *Lead) permission { return w.rule(l).may }

// Rests reports whether the lead's next attempt waits until a time that a rule names.
func (w *World) Rests(l *Lead) bool { return !w.rule(l).until.IsZero() }

// rule returns the strictest ruling, with the last of the times that rules name.
func (w *World) rule(l *Lead) (strictest ruling) {
	for _, rule := range []func(*World, *Lead) ruling{
		(*World).shutDown, (*World).deleted, (*World).stopped, (*World).paused, (*World).givenUp, (*World).hopeless,
		(*World).cooling, (*World).poisonous,
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

// paused: what is paused does not dial, a retry included (promise 17). But a removal
// never waits for a resume.
func (w *World) paused(l *Lead) ruling {
	if l.State == lead.PendingRemoval {
		return unless(l.Flow.active(), never)
	}
	return unless(l.Flow.active(), later)
}

// givenUp: no further attempt is wanted of who asked for removal without retries.
func (w *World) givenUp(l *Lead) ruling {
	return unless(l.State != lead.PendingRemoval || !l.Removal.SkipRetries, never)
}

// hopeless: a removal does not wait until an attempt can be made that could not be, or
// for one that is parked.
func (w *World) hopeless(l *Lead) ruling {
	return unless(l.State != lead.PendingRemoval || !l.parked && (l.Doing != Retrying || l.At.notMade == 0), never)
}

// poisonous: an attempt that ended a process too often is not made again.
func (w *World) poisonous(l *Lead) ruling { return unless(!l.parked, later) }

// cooling: what could not be done for one is not tried for others for a while.
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

// MayBegin reports whether a handler may be called for the lead by that time, as
// soon as a worker is free. Where the time is known, by is w.Now, and a handler
// for which a worker is free must be called.
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
		return l.called == nil && l.Deadline.After(w.Now)
	}
	return false
}

// drop ends a step of which no further attempt is to be made, if none is in flight:
// its next one is queued, or a crash has interrupted it. It reports whether it did.
func (w *World) drop(l *Lead) bool {
	if w.mayBegin(l) != never {
		return false
	}
	switch {
	case l.Doing == Retrying:
		text := l.At.last().Error // of an attempt that was not made
		if l.At.notMade == 0 {
			text = l.Begun().Error
		}
		w.ends(l, l.failure(w.Now, text))
	case l.Doing == Lost && l.called == nil && l.Deadline.After(w.Now):
		w.ends(l, l.failure(w.Now, AnyText))
	default:
		return false
	}
	return true
}
