package hours

import (
	"slices"
	"time"
)

// What a clock on the wall shows is counted here as Unix seconds of the moment at which
// a clock in UTC shows the same. Windows are fixed on this scale, whatever the zone.

// localDay is one date of the calendar.
type localDay struct {
	weekday time.Weekday
	closed  bool // it is a holiday
	carries bool // windows of the day before go on, as that was no holiday
}

// dayOf returns a day by its number; 1970-01-01 is 0.
func (h *Hours) dayOf(n int64) localDay {
	weekday := (n + int64(time.Thursday)) % 7
	if weekday < 0 {
		weekday += 7
	}
	d := localDay{weekday: time.Weekday(weekday), carries: true}
	if len(h.Holidays) > 0 {
		d.closed = h.holiday(n)
		d.carries = !h.holiday(n - 1)
	}
	return d
}

func (h *Hours) holiday(n int64) bool {
	year, month, dayOfMonth := time.Unix(n*day, 0).UTC().Date()
	_, found := slices.BinarySearchFunc(h.Holidays, Date{year, month, dayOfMonth}, Date.Compare)
	return found
}

// on returns when a window is open on a day, in seconds since midnight: from until to,
// and from midnight until carried, which is what remains of the day before.
func (w *Window) on(d localDay) (from, to, carried int) {
	if d.closed {
		return 0, 0, 0
	}
	from, to = w.From*60, w.To*60
	if to <= from {
		if d.carries && w.Days[(d.weekday+6)%7] {
			carried = to
		}
		to = day
	}
	if !w.Days[d.weekday] {
		from, to = 0, 0
	}
	return from, to, carried
}

// split returns the day of a wall time and the seconds since its midnight.
func split(wall int64) (n int64, s int) {
	n, rest := wall/day, wall%day
	if rest < 0 {
		n, rest = n-1, rest+day
	}
	return n, int(rest)
}

// opensAt returns the first wall time at or after wall at which the hours are open, or
// one after limit.
func (h *Hours) opensAt(wall, limit int64) int64 {
	for n, s := split(wall); ; n, s = n+1, 0 {
		d, first := h.dayOf(n), day
		for i := range h.Windows {
			from, to, carried := h.Windows[i].on(d)
			if s < carried || from <= s && s < to {
				return n*day + int64(s)
			}
			if s < from && from < to {
				first = min(first, from)
			}
		}
		if first < day {
			return n*day + int64(first)
		}
		if (n+1)*day > limit {
			return limit + 1
		}
	}
}

// openUntil returns the first wall time at or after wall at which the hours are closed,
// or one at or after limit up to which they are open.
func (h *Hours) openUntil(wall, limit int64) int64 {
	for n, s := split(wall); ; n, s = n+1, 0 {
		d, before := h.dayOf(n), -1
		for before != s {
			before = s
			for i := range h.Windows {
				from, to, carried := h.Windows[i].on(d)
				if s < carried {
					s = carried
				}
				if from <= s && s < to {
					s = to
				}
			}
		}
		if end := n*day + int64(s); s < day || end >= limit {
			return end
		}
	}
}

// openSince returns the last wall time at or before wall ahead of which the hours are
// closed, or one at or before limit from which on they are open.
func (h *Hours) openSince(wall, limit int64) int64 {
	for n, s := split(wall - 1); ; n, s = n-1, day-1 {
		d, before := h.dayOf(n), -1
		s++ // the moments before s are asked for
		for before != s {
			before = s
			for i := range h.Windows {
				from, to, carried := h.Windows[i].on(d)
				if 0 < s && s <= carried {
					s = 0
				}
				if from < s && s <= to {
					s = from
				}
			}
		}
		if start := n*day + int64(s); s > 0 || start <= limit {
			return start
		}
	}
}
