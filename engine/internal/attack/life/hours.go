package life

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
)

// windows are calling hours, in UTC: zones, holidays and spread are for tests of their
// own.
type windows []workflow.Window

func newWindows(h *workflow.CallingHours) (windows, error) {
	switch {
	case h == nil:
		return nil, nil
	case h.Preset != "" || len(h.Holidays) > 0 || h.Spread != 0:
		return nil, fmt.Errorf("life: calling hours other than windows: %+v", *h)
	}
	return h.Windows, nil
}

// open reports whether the windows allow an attempt at a time. No windows allow all.
func (list windows) open(at time.Time) bool {
	return list == nil || slices.ContainsFunc(list, func(w workflow.Window) bool {
		// It may have begun today or yesterday.
		for _, back := range []int{0, 1} {
			day := at.UTC().AddDate(0, 0, -back)
			from, to := clock(day, w.From), clock(day, w.To)
			if !to.After(from) {
				to = to.AddDate(0, 0, 1)
			}
			name := workflow.Day(strings.ToLower(day.Weekday().String()[:3]))
			if slices.Contains(w.Days, name) && !at.Before(from) && at.Before(to) {
				return true
			}
		}
		return false
	})
}

// clock is a time of day, such as 09:30, on a day.
func clock(day time.Time, text string) time.Time {
	var hour, minute int
	fmt.Sscanf(text, "%d:%d", &hour, &minute)
	return time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, time.UTC)
}

// closed: no attempt begins outside of the calling hours of the workflow and of the node
// (promise 14).
func (w *World) closed(l *Lead) ruling {
	of, node := l.Flow.hours, l.attemptNode(w.Now).hours
	if of == nil && node == nil {
		return ruling{}
	}
	if of.open(w.Now) && node.open(w.Now) {
		return ruling{}
	}
	// The first moment at which all are open is one at which one of them opens.
	first := ruling{may: later}
	for _, window := range slices.Concat(of, node) {
		for ahead := range 9 {
			at := clock(w.Now.UTC().AddDate(0, 0, ahead), window.From)
			if at.After(w.Now) && of.open(at) && node.open(at) && (first.until.IsZero() || at.Before(first.until)) {
				first.until = at
			}
		}
	}
	return first
}
