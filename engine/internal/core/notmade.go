package core

import (
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// notMade queues the attempt in flight to be begun again under the same number,
// because nothing was done, for example because the network is down. The attempt is
// not counted.
func (t *Turn) notMade(v *View, a Answer) error {
	if err := t.fire(v, lead.EventRetry); err != nil {
		return err
	}
	r, n := &v.Rec, &v.Notes
	v.Uncalled, v.Rest = false, 0
	t.noteCall(v, Ended{Status: lead.StepRetrying, Error: a.Failed})
	times := 0
	if n.NotMade != nil {
		times = n.NotMade.Times
	}
	n.NotMade = &NotMade{Times: times + 1, Started: r.Started, Error: a.Failed, CallSeq: n.CallSeq, Again: n.Redelivered}
	n.CallSeq, n.CallID, n.LastCall = n.LastCall, "", 0
	n.Redelivered, n.Redeliveries = false, 0
	t.Stats.NotMade++
	r.Attempt--
	r.Phase, r.Deadline = store.PhaseRetrying, 0
	r.Due = t.Now.Add(max(pause(times), a.RetryAfter))
	r.Wake = r.Due
	return nil
}

// giveUpNotMade records that the attempt that was not made never will be.
func (t *Turn) giveUpNotMade(v *View) {
	if n := v.Notes.NotMade; n != nil {
		t.logCall(v, n.CallSeq, v.Rec.Attempt+1, n.Started, Ended{At: t.Now, Status: lead.StepCancelled, Error: n.Error})
		v.Notes.NotMade = nil
	}
}
