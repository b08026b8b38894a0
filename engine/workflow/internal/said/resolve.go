package said

import "time"

// nine is when somebody is called who named only a day.
const nine = 9 * 60

// dayEnds is how late somebody is called who said "today".
const dayEnds = 21 * 60

// resolve returns the time that was said. now is in the person's zone.
func (p *parser) resolve(now time.Time) (time.Time, bool) {
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	timed := p.clock != nil || p.part != nil || p.sameTime
	if s := p.span; s != nil {
		if p.days.given || p.days.shift > 0 || s.minutes > 0 && (timed || s.days > 0 || s.months > 0) {
			return time.Time{}, false
		}
		if s.minutes > 0 {
			return now.Add(time.Duration(s.minutes) * time.Minute), true
		}
		day := addMonths(today, s.months).AddDate(0, 0, s.days)
		if day.Equal(today) {
			return time.Time{}, false
		}
		p.sameTime = p.sameTime || !timed
		return p.first(now, today, []time.Time{day})
	}
	if !timed && !p.days.given && !p.days.today {
		return time.Time{}, false
	}
	return p.first(now, today, p.days.candidates(today))
}

// addMonths is AddDate, but ends at the last day of a month that is too short.
func addMonths(day time.Time, months int) time.Time {
	t := day.AddDate(0, months, 0)
	if t.Day() != day.Day() {
		t = t.AddDate(0, 0, -t.Day())
	}
	return t
}

// first returns the first of the times on the days that is after now.
func (p *parser) first(now, today time.Time, days []time.Time) (time.Time, bool) {
	minutes, ok := p.minutes(now)
	if !ok {
		return time.Time{}, false
	}
	for _, day := range days {
		for _, m := range minutes {
			for _, t := range instants(day, m, now.Location()) {
				if t.After(now) {
					return t, true
				}
			}
		}
	}
	// What was said of today has begun.
	over := dayEnds
	if p.part != nil {
		over = p.part.to
	}
	if soon := now.Add(time.Hour); p.days.today && p.clock == nil && !p.sameTime && len(days) > 0 && days[0].Equal(today) {
		for _, end := range instants(today, over, now.Location()) {
			if !soon.After(end) {
				return soon, true
			}
		}
	}
	return time.Time{}, false
}

// minutes returns the times of day that were said, in the order in which they are tried.
func (p *parser) minutes(now time.Time) ([]int, bool) {
	switch {
	case p.sameTime && p.clock == nil && p.part == nil:
		return []int{60*now.Hour() + now.Minute()}, true
	case p.sameTime:
		return nil, false
	case p.clock == nil && p.part == nil:
		return []int{nine}, true
	case p.clock == nil:
		return []int{p.part.from}, true
	}
	m := *p.clock
	shifted := func(minutes ...int) ([]int, bool) {
		for i := range minutes {
			minutes[i] += m.shift
		}
		return minutes, true
	}
	if s := p.second; m.bare && s != nil && !s.bare { // 4 to 5 pm; 11 to 1 pm
		m.bare = false
		m.minutes %= 12 * 60
		if other := m.minutes + 12*60; s.minutes >= 12*60 && other < s.minutes {
			m.minutes = other
		}
	}
	if p.part != nil {
		minutes, ok := p.partly(m)
		if !ok {
			return nil, false
		}
		return shifted(minutes)
	}
	if !m.bare {
		return shifted(m.minutes)
	}
	business := businessHour(m.minutes)
	if p.days.today && business < 12*60 {
		return shifted(business, business+12*60)
	}
	return shifted(business)
}

// businessHour returns the minutes of a time of 12 hours, if it is one of a business day.
func businessHour(minutes int) int {
	if m := minutes % (12 * 60); m < 8*60 {
		return m + 12*60
	}
	return minutes
}

// partly returns the minutes of a time in the named part of the day.
func (p *parser) partly(m moment) (int, bool) {
	const noon, midnight = 12 * 60, 24 * 60
	if m.bare {
		m.minutes %= noon
		switch p.part.named {
		case "afternoon", "evening":
			m.minutes += noon
		case "night":
			if m.minutes < 4*60 {
				m.minutes += midnight
			} else {
				m.minutes += noon
			}
		}
	}
	ok := false
	switch p.part.named {
	case "morning":
		ok = m.minutes < noon
	case "afternoon":
		ok = m.minutes >= noon && m.minutes < 20*60
	case "evening":
		ok = m.minutes >= 15*60
	case "night":
		ok = m.minutes >= 17*60 || m.minutes < 5*60
		if m.minutes < 5*60 && p.days.today { // tonight at 1 am
			m.minutes += midnight
		}
	}
	return m.minutes, ok
}

// instants returns the instants at which the clock of the zone shows the time: minutes
// after midnight of the day, which is midnight UTC of the date. It is the first minute
// that exists if a change of the clocks skips it, and both, in order, if it comes twice.
func instants(day time.Time, minutes int, zone *time.Location) []time.Time {
	want := day.Add(time.Duration(minutes) * time.Minute)
	wall := func(t time.Time) time.Time {
		_, offset := t.Zone()
		return t.UTC().Add(time.Duration(offset) * time.Second)
	}
	t := time.Date(want.Year(), want.Month(), want.Day(), want.Hour(), want.Minute(), 0, 0, zone)
	begins, ends := t.ZoneBounds()
	switch shown := wall(t); {
	case shown.After(want): // the clocks were put forward before it
		return []time.Time{begins}
	case shown.Before(want):
		return []time.Time{ends}
	}
	if !begins.IsZero() {
		_, before := begins.Add(-1).Zone()
		_, now := t.Zone()
		if first := t.Add(-time.Duration(before-now) * time.Second); before > now && first.Before(begins) {
			return []time.Time{first.In(zone), t}
		}
	}
	if !ends.IsZero() {
		_, now := t.Zone()
		_, after := ends.Zone()
		if second := t.Add(time.Duration(now-after) * time.Second); now > after && !second.Before(ends) {
			return []time.Time{t, second.In(zone)}
		}
	}
	return []time.Time{t}
}
