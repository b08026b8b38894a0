package run

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/store"
)

// This file has what keeps several engines from exceeding a limit together (promise 15).
// The store keeps account of what all of them use, and refuses a batch that would exceed
// a limit. What the loop knows of the account is only for speed: it may be old, and then a
// batch is refused and decided again, or a free place is found a little later.
//
// Limits of attempts per contact need none of this, because one engine has all leads of a
// contact.

// limitsEvery is how often the account is read while leads wait for a limit: another
// engine may have freed a place.
const limitsEvery = 300 * time.Millisecond

// sealShared adds what the batch uses of limits to the account that the store keeps for all
// engines.
func (l *loop) sealShared() {
	for _, u := range l.used {
		use := store.LimitUse{Key: u.use.Key, Lead: u.lead, Max: u.max}
		switch {
		case u.flying != 0:
			use.Flying, use.Base = int64(u.flying), u.use.Base
		case u.phone == 0:
			use.Starts, use.Span = int32(u.starts), u.use.Span
		default:
			continue
		}
		l.writes.Share.Limits = append(l.writes.Share.Limits, use)
	}
}

// readAccount learns from the store what all engines use of the limits.
func (l *loop) readAccount() error {
	keys := l.r.rules.SharedUses()
	if l.share == nil || len(keys) == 0 {
		return nil
	}
	states, err := l.r.shared.LimitUse(context.Background(), keys)
	if err != nil {
		return &storeError{err}
	}
	l.heedAccount(states, l.clock())
	return nil
}

// heedAccount has the account, as it was at the time at, with what the batches add that are
// not on disk.
func (l *loop) heedAccount(states []store.LimitState, at store.Millis) {
	for _, s := range states {
		use := l.r.rules.UseOf(s.Key)
		if use == nil {
			continue
		}
		use.Flying = int(s.Flying)
		starts := make([]store.Start, len(s.Starts))
		for i, a := range s.Starts {
			starts[i] = store.Start{At: at.Add(-a.Age), N: a.N}
		}
		use.Replace(starts)
	}
	l.limits.heeded++
	again := func(b *batch) {
		for i := range b.used {
			u := &b.used[i]
			u.use.Flying += u.flying
			if u.starts != 0 && u.phone == 0 {
				u.at = l.now
				u.use.Started(0, u.at, u.starts)
			}
		}
	}
	if l.flying != nil {
		again(l.flying)
	}
	again(l.batch)
	l.limits.reopen()
}

// lookAtAccount has the account read outside the loop, if leads wait for a limit and it was
// not read lately.
func (l *loop) lookAtAccount() {
	if l.share == nil || l.limits.reading || l.now < l.limits.readAt || l.limitOpens(l.now) <= l.now || !l.limits.waiting() {
		return
	}
	l.limits.reading, l.limits.readAt = true, l.now.Add(limitsEvery)
	keys, heeded := l.r.rules.SharedUses(), l.limits.heeded
	r := l.r
	go func() {
		states, err := r.shared.LimitUse(context.Background(), keys)
		r.inbox.tell(&accountRead{states, r.Clock.Now(), err, heeded})
	}()
}

// accountRead is what all engines use of the limits.
type accountRead struct {
	states []store.LimitState
	at     time.Time
	failed error
	heeded int // limits.heeded when it was asked for
}

func (a *accountRead) lead() int64 { return 0 }

func (a *accountRead) settle(l *loop) error {
	l.limits.reading = false
	// Unless more is known by now: because of a batch that was refused, with which this may
	// have been settled before.
	if a.failed == nil && a.heeded == l.limits.heeded {
		l.heedAccount(a.states, store.MillisOf(a.at))
	}
	return nil
}

// waiting reports whether any lead waits for a limit.
func (s *limits) waiting() bool {
	return slices.ContainsFunc(s.lines, (*line).waiting)
}

// overLimit reads the account after the store has refused a batch because it would have
// exceeded a limit.
func (l *loop) overLimit(err error) {
	if !errors.Is(err, store.ErrLimit) {
		return
	}
	if failed := l.readAccount(); failed != nil {
		l.r.Log.Warn("leadflow: it cannot be read how much of the limits is used; trying again", slog.Any("error", failed))
	}
}

// noteLimits takes note of the limits for all workflows, and of those of workflows, that
// other engines have changed.
func (l *loop) noteLimits(settings []store.Setting) error {
	limits, err := limitsIn(settings)
	if err != nil {
		l.r.Log.Error("leadflow: those of before stay in force", slog.Any("error", err))
	} else {
		l.limits.everywhere = limits
	}
	if err := l.limitUse(); err != nil {
		return &storeError{err}
	}
	l.limits.reopen()
	return l.readAccount()
}

// forgetLimits has the store drop its account of limits for all workflows that are in
// force no more when these are.
func (l *loop) forgetLimits(next []workflow.Limit) {
	if l.share == nil {
		return
	}
	kept := core.LimitKeys(next)
	for _, key := range slices.Sorted(maps.Keys(core.LimitKeys(l.limits.everywhere))) {
		if !kept[key] {
			l.writes.Share.ForgetLimits = append(l.writes.Share.ForgetLimits, key)
		}
	}
}
