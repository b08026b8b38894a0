package hours

import "time"

// offset is a span of time in which a zone's clock does not change, in Unix seconds.
// Several may follow each other with the same offset.
type offset struct {
	start, end int64 // the start may be too early, see from
	east       int64 // how far the clock is ahead of UTC, in seconds
}

const forever = 1 << 60 // in seconds; an offset added to it must not overflow

func offsetAt(zone *time.Location, t int64) offset {
	at := time.Unix(t, 0).In(zone)
	_, east := at.Zone()
	start, end := at.ZoneBounds()
	o := offset{-forever, forever, int64(east)}
	if !start.IsZero() {
		o.start = start.Unix()
	}
	if !end.IsZero() {
		o.end = end.Unix()
	}
	if o.end <= t {
		// On the last day of a leap year, ZoneBounds may take the day's beginning for
		// the end of the year (golang/go#81583).
		n, _ := split(t)
		o.end = (n + 1) * day
	}
	return o
}

// from returns the first moment, at or after start, from which on the clock had this
// offset up to a moment at which it has it.
//
// It is start, unless ZoneBounds gave a start that lies before a change: where the last
// change that a zone's file lists is followed by a rule for all later years, and the rule
// would have set this offset earlier, ZoneBounds returns that earlier time. Indiana
// (Winamac) in 2007 is such a case.
func (o offset) from(zone *time.Location, start, at int64) int64 {
	east := func(t int64) int64 {
		_, east := time.Unix(t, 0).In(zone).Zone()
		return int64(east)
	}
	if east(start) == o.east {
		return start
	}
	for start++; start < at; {
		if middle := start + (at-start)/2; east(middle) == o.east {
			at = middle
		} else {
			start = middle + 1
		}
	}
	return start
}
