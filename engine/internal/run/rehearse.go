package run

import "github.com/leadflow-go/leadflow/lead"

// Rehearsal is a dry run of suppressing many: it has what would be on disk by now if it were
// none, and which request would have done it, because a request may be decided again. It is
// used by the loop only.
type Rehearsal struct {
	added map[suppressionKey]*request
	leads map[int64]*request // that would be removed
}

// NewRehearsal returns a dry run that has suppressed nobody yet.
func NewRehearsal() *Rehearsal {
	return &Rehearsal{added: map[suppressionKey]*request{}, leads: map[int64]*request{}}
}

// knows reports whether the suppression would be on disk when a request is decided. Nil is
// no dry run, and knows none.
func (dry *Rehearsal) knows(k suppressionKey, now *request) bool {
	return dry != nil && dry.added[k] != nil && dry.added[k] != now
}

// rehearse says what suppressions would do, and writes nothing. leads gets those that each
// of them would concern.
func (l *loop) rehearse(list []*Suppressing, leads []changedLeads, s *surgery, dry *Rehearsal) error {
	if l.flying != nil {
		return errInFlight
	}
	who, fresh, of, err := l.newSuppressions(list, dry)
	if err != nil {
		return err
	}
	removed := map[int64]bool{} // by this request
	err = l.concern(s, who, fresh, func(e *entry, i int) error {
		if by := dry.leads[e.seq()]; by != nil && by != l.current || removed[e.seq()] {
			return nil
		}
		if fresh[i].Channel == "" {
			dry.leads[e.seq()], removed[e.seq()] = l.current, true
		}
		state := lead.Removed
		if e.view.Rec.State.InFlight() {
			state = lead.PendingRemoval
		}
		how := e.view.Notes.Removal
		leads[of[i]][e.seq()] = Changed{
			ID: e.contact.ID, Workflow: l.flow(e.view.Rec.Workflow).Row.ID, State: state,
			Fresh: how == nil || !how.SkipRetries, // else it is removed already when its step has ended
		}
		return nil
	})
	for i := range fresh {
		dry.added[keyOf(&fresh[i])] = l.current
	}
	return err
}
