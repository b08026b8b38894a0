package run

import (
	"context"
	"fmt"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// This file has how callers who stop something wait for attempts that were on record as
// begun before, and whose handlers have not been called yet: nobody is called after a stop
// was acknowledged (promises 13 and 17).

// begun are such attempts.
type begun struct {
	here []<-chan struct{} // of this engine; closed when the handler has been called
	// there are notices to other engines about leads whose attempts they make. An engine
	// has taken note of one when it has called the handler.
	there []store.Notice
}

// add notes the attempt of a lead, when the batch is on disk. The lead was decided on.
func (b *begun) add(l *loop, e *entry) {
	v := &e.view
	f := l.flow(v.Rec.Workflow)
	if !f.Exists() {
		return
	}
	if v.Rec.Phase == store.PhaseRunning && v.Elsewhere(f) {
		notice := store.Notice{Shard: v.Rec.Shard, Engine: v.Notes.Engine, Lead: e.seq()}
		if b.there = append(b.there, notice); e.free() { // else its change is told
			l.writes.Share.Notices = append(l.writes.Share.Notices, notice)
			l.writes.Ping = true
		}
	}
	l.after = append(l.after, func() {
		if here := l.beginningOf(e); here != nil {
			b.here = append(b.here, here)
		}
	})
}

// await waits until the handlers have been called, or will not be.
func (b *begun) await(ctx context.Context, r *Runner) error {
	if err := r.awaitAll(ctx, b.here); err != nil {
		return err
	}
	if len(b.there) == 0 || r.stepper != nil {
		return nil
	}
	return r.poll(ctx, func() (bool, error) {
		heeded, err := r.shared.Heeded(ctx, b.there)
		if err != nil {
			err = fmt.Errorf("engine: the change is made, but it is not known whether all engines have taken note: %w", err)
		}
		return heeded, err
	})
}

// beginningOf returns a channel that is closed when the handler of the lead's attempt
// has been called; nil if no handler is about to be called.
func (l *loop) beginningOf(e *entry) <-chan struct{} {
	if l.r.stepper != nil || e.call == nil || !e.call.launched {
		return nil
	}
	return e.call.begun()
}

// beginning returns a channel for each attempt in such workflows that is on record as
// begun and whose handler has not been called yet; it is closed when the handler is
// called. A stepped engine has none: Settle calls its handlers.
func (l *loop) beginning(such func(*core.Flow) bool) (list []<-chan struct{}) {
	for _, e := range l.hot {
		if e.call == nil || !such(l.flow(e.view.Rec.Workflow)) {
			continue
		}
		if begun := l.beginningOf(e); begun != nil {
			list = append(list, begun)
		}
	}
	return list
}

// awaitAll waits until all channels are closed.
func (r *Runner) awaitAll(ctx context.Context, list []<-chan struct{}) error {
	for _, done := range list {
		if err := r.Await(ctx, done); err != nil {
			return err
		}
	}
	return nil
}

// poll asks again and again until the answer is yes.
func (r *Runner) poll(ctx context.Context, ask func() (bool, error)) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-r.stopped:
			return ErrNotRunning
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
