package run

import (
	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// This file has where a lead waits that no batch changes.

// busy is how many workers are in use, or will be once the batches take effect.
func (l *loop) busy() int {
	n := l.total.running + l.running
	if l.flying != nil {
		n += l.flying.running
	}
	return n
}

// place queues an entry that no batch changes for the time at which it needs something,
// or removes it from memory if it need not be there.
func (l *loop) place(e *entry) {
	if !l.mine(e) && !e.held() {
		l.drop(e)
		return
	}
	f := l.flow(e.view.Rec.Workflow)
	need := core.Next(&e.view, f, l.now)
	if need.Kind == core.Closed {
		l.horizon.passOver(need.At)
	}
	if !e.held() && (need.Kind == core.Nothing || need.Kind == core.Closed || l.horizon.beyond(&e.view.Rec, need)) {
		l.drop(e)
		return
	}
	switch need.Kind {
	case core.Limited:
		if !l.limits.wait(e, need, e.held()) {
			l.leaveLimited(e, need)
		}
	case core.Learn:
		if !e.reading {
			l.learnPerson(e, need.Limit)
		}
	case core.Nothing, core.Closed:
		e.unqueue() // its result will come through the inbox
	case core.Until:
		l.timers.add(e, need.At)
	case core.Worker:
		l.wantWorker(e, need)
	case core.Fact:
		if !e.reading {
			l.ask(e, f)
		}
	case core.Change:
		l.timers.add(e, l.now)
	}
}

// wantWorker queues a lead for a free worker.
func (l *loop) wantWorker(e *entry, need core.Need) {
	if e.view.Rec.Phase == store.PhaseRunning {
		l.again.add(e, e.view.Rec.Deadline)
	} else {
		l.ready.add(e, need.At)
	}
}

func (l *loop) drop(e *entry) {
	e.unqueue()
	delete(l.hot, e.seq())
}
