package said

// This file reads times of the day.

// moment is a time of day.
type moment struct {
	minutes int  // since midnight, may be in the next day
	bare    bool // an hour of 12, of which nobody said whether before or after noon
	shift   int  // minutes after that: -15 of a quarter to five
}

// readTime reads a time of day.
func (p *parser) readTime() bool {
	if p.take("same", "time") || p.take("this", "time") {
		p.sameTime = true
		return true
	}
	m, ok := p.time()
	if !ok {
		return false
	}
	if p.before {
		m.shift -= 60
	}
	switch {
	case p.clock == nil:
		p.clock = &m
	case p.connected && p.second == nil:
		p.second = &m
	default:
		p.taken()
	}
	return true
}

func (p *parser) time() (moment, bool) {
	from := p.at
	switch {
	case p.takeAny("noon", "midday", "lunch", "lunchtime"):
		if p.after && p.toks[from].text == "lunch" {
			return moment{minutes: 13 * 60}, true
		}
		return moment{minutes: 12 * 60}, true
	case p.take("midnight"):
		return moment{minutes: 24 * 60}, true
	case p.takeAny("eod", "cob"), p.take("end", "of", "day"), p.take("end", "of", "the", "day"), p.take("close", "of", "business"):
		return moment{minutes: 17 * 60}, true
	case p.after && p.take("work"):
		return moment{minutes: 18 * 60}, true
	case p.peek(0).kind == clock:
		t := p.peek(0)
		p.at++
		return p.half(t.n, t.m, t.n >= 1 && t.n <= 12 && !t.zero)
	}
	if m, ok := p.fraction(); ok || p.failed {
		return m, ok
	}
	p.at = from
	hour := p.peek(0)
	if hour.kind != number {
		return moment{}, false
	}
	p.at++
	next := p.peek(0)
	switch {
	case hour.n > 100:
		// 1630 after "at", or before "hours".
		at := from > 0 && p.toks[from-1].kind == word && p.toks[from-1].text == "at"
		if hour.n/100 > 23 || hour.n%100 > 59 || !at && !p.takeAny("hours", "hrs") && !p.is("am") && !p.is("pm") {
			return moment{}, false
		}
		p.takeAny("hours", "hrs")
		return p.half(hour.n/100, hour.n%100, hour.n < 1000)
	case hour.n > 24:
		return moment{}, false
	case next.kind == number && next.n >= 10 && next.n <= 59 && hour.n >= 1 && hour.n < 24 &&
		(next.spelled || p.peek(1).kind == word && (p.peek(1).text == "am" || p.peek(1).text == "pm")):
		p.at++ // four thirty; 4 30 pm
		return p.half(hour.n, next.n, hour.n <= 12)
	}
	switch {
	case hour.n == 12 && (p.is("noon") || p.is("midnight")):
		return p.time()
	case p.take("h"): // as it is written in French and German
		minute := 0
		if next := p.peek(0); next.kind == number && next.n < 60 && !next.spelled {
			minute = next.n
			p.at++
		}
		return moment{minutes: hour.n*60 + minute}, hour.n > 12
	case !p.take("oclock"):
		p.take("o", "clock")
	}
	return p.half(hour.n, 0, hour.n >= 1 && hour.n <= 12)
}

// half reads am or pm, if it comes.
func (p *parser) half(hour, minute int, bare bool) (moment, bool) {
	p.take("ish")
	switch am := p.take("am"); {
	case am && (hour == 0 || hour > 12):
		return moment{}, p.fail()
	case am:
		return moment{minutes: hour%12*60 + minute}, true
	case p.take("pm"):
		if hour == 0 {
			return moment{}, p.fail()
		}
		if hour <= 12 {
			hour = hour%12 + 12
		}
		return moment{minutes: hour*60 + minute}, true
	}
	return moment{minutes: hour*60 + minute, bare: bare}, true
}

func (p *parser) fail() bool {
	p.failed = true
	return false
}

// fraction reads half past four, a quarter to five, ten past six.
func (p *parser) fraction() (moment, bool) {
	from := p.at
	p.take("a")
	minutes, past := 0, true
	switch t := p.peek(0); {
	case p.take("half"):
		minutes = 30
		if !p.take("past") && (p.peek(0).kind != number || p.peek(1).kind == word && minuteUnits[p.peek(1).text] > 0) {
			p.at = from
			return moment{}, false
		}
	case p.take("quarter"):
		minutes = 15
		switch {
		case p.takeAny("past", "after"):
		case p.takeAny("to", "till", "before", "of"):
			past = false
		default:
			p.at = from
			return moment{}, false
		}
	case t.kind == number && t.n >= 1 && t.n <= 29:
		p.at++
		said := p.takeAny("minutes", "mins", "min")
		minutes = t.n
		switch {
		case p.take("past"), said && p.take("after"):
		// "10 to 12" is a span; "ten to twelve" and "5 to 4" are not.
		case (t.n == 5 || t.n == 10) && (t.spelled || p.peek(1).n < t.n && p.peek(1).n > t.n-5) || t.n == 20 || t.n == 25 || said:
			if past = p.take("after"); !past && !p.takeAny("to", "till", "before") {
				p.at = from
				return moment{}, false
			}
		default:
			p.at = from
			return moment{}, false
		}
	default:
		p.at = from
		return moment{}, false
	}
	hour := p.peek(0)
	if hour.kind != number || hour.n < 1 || hour.n > 12 {
		p.at = from
		return moment{}, false
	}
	p.at++
	p.take("oclock")
	m, ok := p.half(hour.n, 0, true)
	if !ok {
		return m, false
	}
	if !past {
		minutes = -minutes
	}
	m.shift = minutes
	return m, true
}
