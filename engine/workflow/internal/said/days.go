package said

import "time"

// days is what was said about the day. All of it must agree.
type days struct {
	given bool // any of the following
	shift int  // days after that

	today    bool
	relative *int // days after today

	weekday *time.Weekday
	next    bool // the weekday is not today
	week    *int // weeks after this one

	day, month, year int // a date; month 0: the next such day of a month, year 0: the next such date
	nextMonth        bool
	wholeMonth       bool // month was named without a day
}

// readDay reads a day.
func (p *parser) readDay() bool {
	from := p.at
	var found days
	if !p.day(&found) {
		if !p.failed {
			p.at = from
		}
		return p.failed
	}
	if p.before {
		p.failed = true // on which of the days before it?
		return true
	}
	d := &p.days
	conflict := d.relative != nil && found.relative != nil || d.weekday != nil && found.weekday != nil || d.week != nil && found.week != nil ||
		d.dated() && found.dated()
	if conflict || d.given && p.connected {
		p.taken()
		return true
	}
	if p.alternative {
		return true
	}
	if p.after {
		found.shift++
	}
	d.given = true
	d.shift += found.shift
	d.today = d.today || found.today
	if found.relative != nil {
		d.relative = found.relative
	}
	if found.weekday != nil {
		d.weekday, d.next = found.weekday, found.next
	}
	if found.week != nil {
		d.week = found.week
	}
	if found.dated() {
		d.day, d.month, d.year, d.nextMonth, d.wholeMonth = found.day, found.month, found.year, found.nextMonth, found.wholeMonth
	}
	return true
}

func (d *days) dated() bool { return d.day != 0 || d.wholeMonth }

func (p *parser) day(d *days) bool {
	relative := func(n int) bool { d.relative = &n; return true }
	week := func(n int) bool { d.week = &n; return true }
	switch {
	case p.take("today"):
		d.today = true
		return relative(0)
	case p.takeAny("tonight", "tonite"):
		d.today = true
		return relative(0) && p.setPart(parts["night"])
	case p.take("the", "day", "after", "tomorrow"), p.take("day", "after", "tomorrow"), p.take("overmorrow"):
		return relative(2)
	case p.peek(0).kind == word && tomorrows[p.peek(0).text]:
		p.at++
		return relative(1)
	case p.take("the", "week", "after", "next"), p.take("week", "after", "next"):
		return week(2)
	case p.take("next", "week"):
		return week(1)
	case p.take("next", "month"):
		d.nextMonth, d.wholeMonth = true, true
		return true
	}
	return p.named(d) || p.dated(d)
}

// named reads a day of the week.
func (p *parser) named(d *days) bool {
	p.take("this")
	if !p.takeAny("coming", "upcoming") && p.take("next") {
		d.next = true
	}
	name := p.peek(0)
	if name.kind != word {
		return false
	}
	weekday, ok := weekdays[name.text]
	if name.text == "weekend" {
		weekday, ok = int(time.Saturday), true
	}
	if !ok {
		return false
	}
	p.at++
	w := time.Weekday(weekday)
	d.weekday = &w
	if p.take("week") { // "Friday week"
		d.shift = 7
	}
	return true
}

// dated reads a date, or a day of the month.
func (p *parser) dated(d *days) bool {
	if t := p.peek(0); t.kind == date {
		p.at++
		d.day, d.month, d.year = t.n, t.m, t.year
		return true
	}
	month := func(i int) int {
		if t := p.peek(i); t.kind == word {
			return months[t.text]
		}
		return 0
	}
	if p.is("in") && month(1) > 0 && p.peek(2).kind != number && p.peek(2).kind != ordinal {
		d.month, d.wholeMonth = month(1), true
		p.at += 2
		return true
	}
	if d.month = month(0); d.month > 0 {
		p.at++
		p.take("the")
		t := p.peek(0)
		if t.kind != number && t.kind != ordinal {
			return false
		}
		p.at++
		d.day = t.n
		p.year(d)
		return p.possible(d)
	}
	the := p.take("the") || p.at > 0 && p.toks[p.at-1].kind == word && p.toks[p.at-1].text == "on"
	t := p.peek(0)
	if t.kind != number && t.kind != ordinal {
		return false
	}
	p.at++
	of := p.take("of")
	if d.month = month(0); d.month > 0 {
		p.at++
		d.day = t.n
		p.year(d)
		return p.possible(d)
	}
	if t.kind != ordinal || t.spelled && !the {
		return false
	}
	d.day = t.n
	switch {
	case !of:
	case p.take("next", "month"):
		d.nextMonth = true
	case !p.take("this", "month") && !p.take("the", "month"):
		return false
	}
	return p.possible(d)
}

// year reads the year of a date, if it comes.
func (p *parser) year(d *days) {
	if t := p.peek(0); t.kind == number && t.n >= 1900 && !t.spelled {
		p.at++
		d.year = t.n
	}
}

// possible refuses days that no month has.
func (p *parser) possible(d *days) bool {
	if d.day < 1 || d.day > 31 {
		return p.fail()
	}
	return true
}

// halfYear is how far away a date of the next year may be for which nobody said a year.
const halfYear = 183

// candidates returns the days that are meant, in order; of the first on which the time
// is still to come. today is midnight UTC of the date that it is in the zone.
func (d *days) candidates(today time.Time) []time.Time {
	var out []time.Time
	switch {
	case d.dated():
		out = d.dates(today)
	case d.weekday != nil && d.week != nil:
		out = []time.Time{monday(today).AddDate(0, 0, 7**d.week+(int(*d.weekday)+6)%7)}
	case d.relative != nil:
		out = []time.Time{today.AddDate(0, 0, *d.relative)}
	case d.weekday != nil:
		until := (int(*d.weekday) - int(today.Weekday()) + 7) % 7
		if d.next && until == 0 {
			until = 7
		}
		out = []time.Time{today.AddDate(0, 0, until)}
		if !d.next && d.shift == 0 {
			out = append(out, today.AddDate(0, 0, until+7))
		}
	case d.week != nil:
		out = []time.Time{monday(today).AddDate(0, 0, 7**d.week)}
	case d.today:
		out = []time.Time{today}
	case d.shift > 0:
		return nil // a week from what?
	default:
		out = []time.Time{today, today.AddDate(0, 0, 1), today.AddDate(0, 0, 2)}
	}
	kept := out[:0]
	for _, day := range out {
		if d.agrees(day, today) {
			kept = append(kept, day.AddDate(0, 0, d.shift))
		}
	}
	return kept
}

// agrees reports whether everything that was said about the day holds for it.
func (d *days) agrees(day, today time.Time) bool {
	switch {
	case d.weekday != nil && day.Weekday() != *d.weekday && !d.wholeMonth,
		d.relative != nil && !day.Equal(today.AddDate(0, 0, *d.relative)),
		d.week != nil && !monday(day).Equal(monday(today).AddDate(0, 0, 7**d.week)):
		return false
	}
	return !d.wholeMonth || d.weekday == nil
}

func monday(day time.Time) time.Time { return day.AddDate(0, 0, -(int(day.Weekday())+6)%7) }

// dates returns the days that a date means.
func (d *days) dates(today time.Time) (out []time.Time) {
	on := func(year int, month time.Month, day int) (time.Time, bool) {
		t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		return t, t.Day() == day
	}
	first := time.Date(today.Year(), today.Month(), 1, 0, 0, 0, 0, time.UTC)
	switch {
	case d.nextMonth:
		next := first.AddDate(0, 1, 0)
		if t, ok := on(next.Year(), next.Month(), max(d.day, 1)); ok {
			out = append(out, t)
		}
	case d.month == 0:
		for i := 0; i <= 12 && len(out) < 2; i++ {
			month := first.AddDate(0, i, 0)
			if t, ok := on(month.Year(), month.Month(), d.day); ok && !t.Before(today) {
				out = append(out, t)
			}
		}
	case d.year != 0:
		if t, ok := on(d.year, time.Month(d.month), d.day); ok {
			out = append(out, t)
		}
	default:
		for year := today.Year(); year <= today.Year()+1; year++ {
			t, ok := on(year, time.Month(d.month), max(d.day, 1))
			if ok && !t.Before(today) && (year == today.Year() || t.Sub(today) <= halfYear*24*time.Hour) {
				return append(out, t)
			}
		}
	}
	return out
}
