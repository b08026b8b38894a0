package run

import (
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// used is a change of what is used of a limit, by a lead in a batch.
type used struct {
	lead   int64
	use    *core.Use
	max    int64 // that the limit allows; the smallest of those with the same use
	flying int
	starts int
	at     store.Millis // of a start
	phone  int64        // of a start that counts for a contact
}

// countUse keeps account of the limits for which a change of a lead counts. It is called
// when the core has decided the change, and e.view is as it was before.
func (l *loop) countUse(e *entry, f *core.Flow, after *core.View, event core.Event) {
	flew, flies := e.view.Flies(), after.Flies()
	_, begins := event.(core.Begin)
	delivers := begins && after.Running && !after.Asking
	if flew == flies && !delivers {
		return
	}
	note := func(u used) {
		u.lead, u.at = e.seq(), l.now
		u.use.Flying += u.flying
		if u.starts != 0 {
			u.use.Started(u.phone, u.at, u.starts)
		}
		l.used = append(l.used, u)
	}
	if flew && !flies {
		for _, lim := range e.view.Counted(f, l.now) {
			if lim.InFlight > 0 {
				note(used{use: lim.Use, max: int64(lim.InFlight), flying: -1})
			}
		}
		return
	}
	for _, lim := range after.Counted(f, l.now) {
		switch {
		case lim.InFlight > 0 && !flew:
			note(used{use: lim.Use, max: int64(lim.InFlight), flying: 1})
		case lim.Starts > 0 && delivers:
			note(used{use: lim.Use, max: int64(lim.Starts), starts: 1})
		case lim.PerContact > 0 && delivers:
			note(used{use: lim.Use, starts: 1, phone: after.Phone})
		}
	}
}

// unuse takes back what a batch has counted for leads, all of them if such is nil.
func (l *loop) unuse(b *batch, such func(lead int64) bool) {
	kept := b.used[:0]
	for _, u := range b.used {
		if such != nil && !such(u.lead) {
			kept = append(kept, u)
			continue
		}
		u.use.Flying -= u.flying
		if u.starts != 0 {
			u.use.Started(u.phone, u.at, -u.starts)
		}
	}
	b.used = kept
}

// sealStarts adds the starts that count for limits to the batch.
func (l *loop) sealStarts() {
	if l.share != nil {
		l.sealShared()
	}
	for _, u := range l.used {
		if u.starts == 0 || l.share != nil && u.phone == 0 {
			continue
		}
		i := slices.IndexFunc(l.writes.Starts, func(s store.Start) bool {
			return u.phone == 0 && s.Phone == 0 && s.Key == u.use.Key && s.At == l.now
		})
		if i >= 0 {
			l.writes.Starts[i].N += int32(u.starts)
			continue
		}
		l.writes.Starts = append(l.writes.Starts, store.Start{Key: u.use.Key, Phone: u.phone, At: l.now, N: int32(u.starts)})
		if before := u.use.Outdated(l.now); before != 0 {
			l.writes.ForgetStarts = append(l.writes.ForgetStarts, store.ForgetStarts{Key: u.use.Key, Before: before})
		}
	}
}
