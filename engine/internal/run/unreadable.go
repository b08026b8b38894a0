package run

import (
	"context"
	"log/slog"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// met remembers which damage was told of, so that each is told of once.
type met struct {
	seq      int64
	metadata bool
}

// first reports whether nobody has met that damage before.
func (r *Runner) first(m met) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.met[m]
	if r.met == nil {
		r.met = map[met]bool{}
	}
	r.met[m] = true
	return !was
}

// Meet tells, once, that a lead cannot be read or written: in the log, and to listeners.
// The loop meets it when the lead is due, readers when they are asked for it.
func (r *Runner) Meet(seq int64, err error) {
	if !r.first(met{seq: seq}) {
		return
	}
	r.Log.Error("leadflow: a lead cannot be read or written and is left out; all others go on. "+
		"Remove it, or repair its row or restore a backup and start again",
		slog.String("lead", r.name(seq)), slog.Int64("lead_seq", seq), slog.Any("error", err))
	for _, listener := range r.listening() {
		listener.tell([]Change{{After: core.View{Rec: store.Record{Seq: seq}}, Unreadable: err}})
	}
}

// MeetMetadata logs, once, that the metadata of a contact cannot be read.
func (r *Runner) MeetMetadata(seq int64, err error) {
	if r.first(met{seq, true}) {
		r.Log.Warn("leadflow: the metadata of a lead's contact cannot be read and is shown as empty; "+
			"repair its row or restore a backup",
			slog.String("lead", r.name(seq)), slog.Int64("lead_seq", seq), slog.Any("error", err))
	}
}

// name returns the id of a lead that may not be in memory, for log messages.
func (r *Runner) name(seq int64) string {
	rows, err := r.Store.Contacts(context.Background(), []int64{seq})
	if err != nil || len(rows) != 1 {
		return "unknown"
	}
	return rows[0].ID.String()
}
