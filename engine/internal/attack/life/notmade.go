package life

import (
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// rest is the back-off of a rate key.
type rest struct {
	until time.Time
	times int // in a row
}

// key is the rate key of the attempt in flight, or of the next one: the name of the
// handler.
func (w *World) key(l *Lead, by time.Time) string {
	if l.Doing == Resting && w.messageDue(l, by) != nil {
		return string(workflow.Message)
	}
	return l.At.NodeType
}

// pause is the back-off after times attempts in a row that were not made.
func pause(times int) time.Duration {
	if times > 5 {
		return time.Minute
	}
	return time.Second << times
}

// tried begins or ends the back-off of a rate key, by whether an attempt could be made.
func (w *World) tried(l *Lead, notMade bool) {
	key := w.key(l, w.Now)
	switch r := w.rests[key]; {
	case notMade && !r.until.After(w.Now):
		if w.rests == nil {
			w.rests = map[string]rest{}
		}
		w.rests[key] = rest{w.Now.Add(pause(r.times)), r.times + 1}
	case !notMade && r.times > 0:
		w.rests[key] = rest{until: r.until}
	}
}

// notMade: the handler said that nothing was done. The attempt is not counted, and is
// made later under the same number.
func (w *World) notMade(l *Lead, a Answer) {
	st := l.At
	st.notMade++
	if c := st.logged(); c != nil {
		c.Status, c.Error = lead.StepRetrying, a.Err
	}
	last := st.last()
	st.again = last.Redelivered
	*last = lead.Attempt{
		Number: last.Number, Status: lead.StepWaiting, Error: a.Err, Redelivered: st.again, DueAt: w.Now.Add(max(pause(st.notMade-1), a.After)),
	}
	st.Status, st.CallID, l.Doing = lead.StepRetrying, "", Retrying
	w.drop(l)
}

// Park parks the lead's attempt. An attack calls it when the attempt was made again more
// often than this world has seen.
func (w *World) Park(l *Lead) {
	l.parked = true
	l.Begun().Error = AnyText
	w.drop(l)
}

// BegunBefore tells that an earlier process had begun the attempt in flight, unseen, and
// then ended.
func (w *World) BegunBefore(l *Lead) {
	l.Begun().Redelivered = true
	l.redelivered = 1
}

// BeginUnseen tells that an earlier process had begun the attempt that is due, unseen, and
// then ended.
func (w *World) BeginUnseen(l *Lead) {
	w.Begin(l, w.Now)
	l.Doing = Lost
}

// givenUpNotMade records that the attempt that was not made never will be.
func (w *World) givenUpNotMade(st *Step) {
	if st.notMade > 0 && len(st.Calls) > 0 {
		c := &st.Calls[len(st.Calls)-1]
		c.Status, c.EndedAt = lead.StepCancelled, w.Now
	}
	st.notMade = 0
}
