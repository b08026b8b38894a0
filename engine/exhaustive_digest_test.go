//go:build !race

package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// digest is everything of a world that can make a difference to what comes,
// and nothing else: two worlds of the same digest are one state of the search.
// What was promised to whom follows from what is on disk, because whatever is
// there is held to be promised; what was written about the past is checked to
// stay at every event, and so is not in it.
// Moments are in it as what the engine makes of them: over, or so far ahead.
func (w *searchWorld) digest() string {
	var b strings.Builder
	found, rows, _, err := w.memory.History(context.Background(), w.id.Seq())
	if err != nil {
		w.fault("the lead cannot be read: %v", err)
	}
	flows, err := w.memory.Workflows(context.Background())
	if err != nil || len(flows) != 1 {
		w.fault("the workflow cannot be read: %v", err)
		return ""
	}
	fmt.Fprintf(&b, "workflow %s\n", flows[0].Status)
	w.writeRecord(&b, "disk", &found.Record)
	for i := range rows {
		w.writeStep(&b, &rows[i])
	}
	if w.eng == nil {
		b.WriteString("down\n")
		return b.String()
	}
	w.writeMemory(&b)
	for _, r := range slices.Concat(w.eng.stepped.loop.results, w.eng.inbox.results) {
		w.writeResult(&b, r)
	}
	for _, h := range w.held {
		what := h.what
		if e := w.eng.stepped.loop.hot[w.id.Seq()]; h.key != "" && (e == nil || e.run == nil || searchKey(e.rec.Visit, e.rec.Attempt) != h.key) {
			what = "late" // whatever it is, it is dropped
		}
		fmt.Fprintf(&b, "on its way %s %s\n", h.key, what)
	}
	return b.String()
}

// writeResult writes an answer that has reached the engine, which has not taken
// it yet.
func (w *searchWorld) writeResult(b *strings.Builder, r result) {
	switch end := r.(type) {
	case *attemptEnd:
		if e := w.eng.stepped.loop.hot[w.id.Seq()]; e == nil || e.run != end.run {
			b.WriteString("told late\n") // whatever it is, it is dropped
			return
		}
		fmt.Fprintf(b, "told %q final %t in flight %t outcome %q\n", end.err, end.final, end.inFlight, end.outcome)
	case *hooksEnd:
		fmt.Fprintf(b, "told by hooks %q\n", end.errors)
	default:
		w.fault("an answer of an unknown kind %T", r)
	}
}

// moment is a time relative to now: none, over, or how far ahead.
func (w *searchWorld) moment(at store.Millis) string {
	switch now := store.MillisOf(w.now); {
	case at == 0:
		return "none"
	case at <= now:
		return "over"
	case at == store.MaxMillis:
		return "never"
	default:
		return fmt.Sprintf("+%d", at-now)
	}
}

// writeRecord leaves out what the engine only tells to others: when the lead
// arrived, when an attempt was begun, when the record was written.
func (w *searchWorld) writeRecord(b *strings.Builder, where string, r *store.Record) {
	x, err := decodeExtra(r.EngineState)
	if err != nil {
		w.fault("the lead cannot be read: %v", err)
	}
	fmt.Fprintf(b, "%s %s phase %d node %d visit %d/%d attempt %d due %s deadline %s wake %s outcome %q\n", where, r.State,
		r.Phase, r.Node, r.Visit, r.Visits, r.Attempt, w.moment(r.Due), w.moment(r.Deadline), w.moment(r.Wake), r.Outcome)
	w.writeExtra(b, &x)
}

func (w *searchWorld) writeExtra(b *strings.Builder, x *extra) {
	fmt.Fprintf(b, " past attempts %d call %t again %t", len(x.Attempts), x.CallSeq != 0, x.Redelivered)
	if x.Ended != nil {
		fmt.Fprintf(b, " ended %s %q", x.Ended.Status, x.Ended.Outcome)
	}
	if x.Removal != nil {
		fmt.Fprintf(b, " removal, skip %t", x.Removal.SkipRetries)
	}
	for _, m := range x.Messages {
		fmt.Fprintf(b, " message %d %s", m.Visit, w.moment(m.Due))
	}
	if x.Sending != nil {
		fmt.Fprintf(b, " sending %d", x.Sending.Visit)
	}
	if x.Path != nil {
		fmt.Fprintf(b, " path %d node %d %s", x.Path.Visit, x.Path.Node, w.moment(x.Path.Due))
	}
	b.WriteByte('\n')
}

// writeStep writes of a step that is over what a late callback is answered by.
// That it stays as it is is checked at every event, so the rest of it makes no
// difference to what comes.
func (w *searchWorld) writeStep(b *strings.Builder, s *store.Step) {
	fmt.Fprintf(b, "step %d node %d kind %d %s %q\n", s.Visit, s.Node, s.Kind, s.Status, s.Outcome)
}

func (w *searchWorld) callLog() []store.Call {
	calls, err := w.memory.Calls(context.Background(), store.CallQuery{Lead: w.id.Seq()})
	if err != nil {
		w.fault("the call log cannot be read: %v", err)
	}
	return calls
}

// writeMemory writes what the process has in memory.
func (w *searchWorld) writeMemory(b *strings.Builder) {
	d, l := w.eng.stepped, w.eng.stepped.loop
	h := &l.horizon
	fmt.Fprintf(b, "memory: queued %d ready %t running %d live %d failures %d requests %d results %d told %d sweeps %d\n",
		w.queued(), d.ready(), l.total.running, l.total.live, l.failures, len(l.requests)+len(l.deferred), len(l.results),
		len(w.eng.inbox.results), len(l.sweeps))
	fmt.Fprintf(b, "horizon %s more %t crowded %t", w.moment(h.cursor.Wake), h.more, h.crowded)
	e := l.hot[w.id.Seq()]
	if e == nil {
		b.WriteString(" cold\n")
		return
	}
	fmt.Fprintf(b, " past it %t in", h.cursor.Less(e.rec.Key()))
	for name, q := range map[string]*queue{"timers": &l.timers, "ready": &l.ready, "again": &l.again} {
		if e.queue == q {
			fmt.Fprintf(b, " %s at %s", name, w.moment(e.at))
		}
	}
	if e.run != nil {
		fmt.Fprintf(b, " run launched %t abandoned %t cut %t", e.run.launched, e.run.abandoned, e.run.ctx.Err() != nil)
	}
	if e.hooks != nil {
		fmt.Fprintf(b, " hooks launched %t", e.hooks.launched)
	}
	fmt.Fprintf(b, " contact %t\n", e.contact != nil)
	w.writeRecord(b, "hot", &e.rec)
}

// status is the workflow's, as it is on disk.
func (w *searchWorld) status() lead.WorkflowStatus {
	flows, err := w.memory.Workflows(context.Background())
	if err != nil || len(flows) != 1 {
		w.fault("the workflow cannot be read: %v", err)
		return 0
	}
	return flows[0].Status
}
