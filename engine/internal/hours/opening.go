package hours

import "time"

const (
	day  = 24 * 60 * 60 // in seconds
	week = 7 * day

	// bound is Bound in seconds.
	bound = 400 * day
)

// Bound is how far ahead Opening looks for a moment that all allow.
const Bound = bound * time.Second

var onlyUTC = []*time.Location{time.UTC}

// Opening returns the first moment at or after from at which all of the hours allow an
// attempt in all of the zones, and the moment at which that ends (exclusive), or one
// about a week later if it does not end before. ok is false if there is no such moment
// within 400 days. Both times are in UTC.
//
// share is the lead's, at least 0 and less than 1; see [Share]. A window opens for the
// lead later by this share of Spread, in elapsed time, and stays open from then on.
// With several hours or zones, each is delayed by itself, and the last to open decides.
// Where not all leads would have an opening before the first of the windows closes,
// they are dealt evenly over the time in which all are open. So every lead has its
// turn, always the same one, and never outside the windows.
//
// A nil element of all allows everything. Without zones, UTC holds.
func Opening(all []*Hours, zones []*time.Location, share float64, from time.Time) (opens, closes time.Time, ok bool) {
	if len(zones) == 0 {
		zones = onlyUTC
	}
	var most time.Duration // the longest spread
	for _, h := range all {
		most = max(most, h.spread())
	}
	back := int64((most + time.Second - 1) / time.Second)

	// t is the candidate. Each of the hours in each of the zones is asked for its
	// stretch of open time at t; one that is not open then moves t to where it opens
	// next, and all are asked again. All that is kept of their answers is counted from t.
	t := from.Unix()
	limit := t + bound
	var s stretches
	s.reset()
	for i, confirmed := 0, 0; confirmed < len(all)*len(zones); confirmed++ {
		h, zone := all[i/len(zones)], zones[i%len(zones)]
		if i++; i == len(all)*len(zones) {
			i = 0
		}
		if h == nil {
			continue
		}
		start, end, ok := h.stretch(zone, t, t-back, limit)
		if !ok {
			return time.Time{}, time.Time{}, false
		}
		if start > t {
			t, confirmed = start, 0
			s.reset()
		}
		s.add(seconds(start-t), seconds(end-t), h.spread(), share)
	}
	base := time.Unix(t, 0).UTC()
	opens, closes = base.Add(s.opens(share)), base.Add(s.close)
	if opens.Before(from) {
		opens = from.UTC()
	}
	return opens, closes, true
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// spread returns the spread that counts.
func (h *Hours) spread() time.Duration {
	if h == nil {
		return 0
	}
	return min(max(h.Spread, 0), seconds(week))
}

// stretches are stretches of open time that have a moment in common, from which all
// is counted.
type stretches struct {
	start, close time.Duration // of what they have in common
	mine         time.Duration // when the last of them opens for this lead
	last         time.Duration // when the last of them has opened for every lead
}

func (s *stretches) reset() {
	*s = stretches{start: -seconds(bound), close: seconds(week), mine: -seconds(bound), last: -seconds(bound)}
}

func (s *stretches) add(start, end, spread time.Duration, share float64) {
	s.start, s.close = max(s.start, start), min(s.close, end)
	s.mine, s.last = max(s.mine, start+part(share, spread)), max(s.last, start+spread)
}

// opens returns when the lead's turn comes.
//
// If the last lead would come too late, then by less than the longest spread. For that
// case stretch has looked far enough back and ahead that start and close are exact.
func (s *stretches) opens(share float64) time.Duration {
	if s.last > s.close {
		return s.start + part(share, s.close-s.start)
	}
	return s.mine
}

// part returns a share of d, at least 0 and less than d, whatever the share: an opening
// must not fall outside the windows.
func part(share float64, d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	return min(max(time.Duration(share*float64(d)), 0), d-1)
}

// stretch returns the first stretch of time that ends after t and in which the hours,
// without their spread, are open in the zone. If it has begun before t, its start is
// exact, or it is at most since and the true one is not later. If it goes on for more than a
// week from then, its end is at least that. ok is false if none begins by the limit.
// All times are Unix seconds.
func (h *Hours) stretch(zone *time.Location, t, since, limit int64) (start, end int64, ok bool) {
	o := offsetAt(zone, t)
	start = t
	for {
		first := h.opensAt(start+o.east, min(o.end, limit)+o.east) - o.east
		if first < o.end {
			start = first
			break
		}
		start = o.end
		if start > limit {
			break
		}
		o = offsetAt(zone, start)
	}
	if start > limit {
		return 0, 0, false
	}

	end = start
	for now, enough := o, start+week; ; now = offsetAt(zone, end) {
		end = min(h.openUntil(end+now.east, enough+now.east)-now.east, now.end)
		if end < now.end || end >= enough {
			break
		}
	}
	if start > t {
		return start, end, true // it was closed at t
	}
	for at := t; start > since; o = offsetAt(zone, at) {
		start = max(h.openSince(start+o.east, since+o.east)-o.east, o.start)
		if start > at {
			break // it was closed before
		}
		first := o.from(zone, start, at)
		if first == start && start > o.start {
			break
		}
		start, at = first, first-1
	}
	return start, end, true
}
