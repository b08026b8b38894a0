package said

// This file reads lengths of time, such as "two hours".

// span is a length of time from now.
type span struct {
	minutes, days, months int
}

// amount reads how many of a unit: 3, a, half a, a couple of. It is in tenths.
func (p *parser) amount() (tenths int, ok bool) {
	from := p.at
	defer func() {
		if !ok {
			p.at = from
		}
	}()
	switch t := p.peek(0); {
	case t.kind == number:
		p.at++
		if p.take("and", "a", "half") {
			return 10*t.n + 5, true
		}
		if to := p.peek(0); (to.kind == dash || to.text == "to" || to.text == "or") && p.peek(1).kind == number && p.peek(2).kind == word && unit(p.peek(2).text) {
			p.at += 2 // of "two or three days" the first
		}
		return 10 * t.n, true
	case t.kind == decimal:
		p.at++
		return t.n, true
	case p.is("half") && unit(p.peek(1).text):
		p.at++
		return 5, true
	case p.take("half", "an"), p.take("half", "a"), p.take("a", "half"):
		return 5, true
	case p.take("a", "couple"), p.take("couple"), p.take("another", "couple"):
		p.take("of")
		return 20, true
	case p.take("a", "few"), p.take("few"):
		return 30, true
	case p.take("a"), p.take("an"), p.take("another"):
		return 10, true
	}
	return 0, false
}

// unit reports whether a word is a unit of time.
func unit(text string) bool { return minuteUnits[text] > 0 || dayUnits[text] > 0 || monthUnits[text] }

// readSpan reads a length of time from now, such as "in two hours", or one of weeks from
// a day, such as "a week from Friday".
func (p *parser) readSpan() bool {
	from := p.at
	within := p.take("in") || p.take("after")
	var s span
	n := 0
	for {
		here := p.at
		if n > 0 {
			p.take("and")
		}
		if !p.measure(&s, within || n > 0) {
			p.at = here
			break
		}
		n++
	}
	if n == 0 {
		p.at = from
		return false
	}
	switch {
	case p.is("ago"):
		p.failed = true
		return true
	case !within && (p.is("past") || p.is("to")) && p.peek(1).kind == number: // five minutes past four
		p.at = from
		return false
	case p.take("from", "now"), p.take("from", "today"), p.take("later"), p.take("time"):
	case s.days > 0 && s.days%7 == 0 && s.minutes == 0 && s.months == 0 && !within && (p.take("from") || p.take("on")):
		p.days.shift += s.days
		return true
	}
	if p.is("or") && p.peek(1).kind == number || p.is("or", "so") { // "an hour or two"
		p.at += 2
	}
	if p.span != nil {
		p.taken()
		return true
	}
	p.span = &s
	return true
}

// measure reads an amount and its unit.
func (p *parser) measure(s *span, sure bool) bool {
	if p.take("a", "quarter", "of", "an", "hour") || p.take("quarter", "of", "an", "hour") || p.take("a", "quarter", "hour") {
		s.minutes += 15
		return true
	}
	tenths, ok := p.amount()
	if !ok {
		return false
	}
	name := p.peek(0)
	if name.kind != word {
		return false
	}
	// "1630 hours" is a clock time.
	if !sure && tenths >= 1000 && (name.text == "hours" || name.text == "hrs") {
		return false
	}
	if name.text == "h" && !sure && !(p.peek(1).kind == number && unit(p.peek(2).text)) { // "at 18h"
		return false
	}
	p.at++
	if minutes, ok := minuteUnits[name.text]; ok && (name.text != "m" || s.minutes > 0) {
		s.minutes += tenths * minutes / 10
		if p.take("and", "a", "half") {
			s.minutes += minutes / 2
		}
		return true
	}
	if tenths%10 != 0 {
		return false
	}
	if days, ok := dayUnits[name.text]; ok {
		s.days += tenths / 10 * days
		return true
	}
	if monthUnits[name.text] {
		s.months += tenths / 10
		return true
	}
	return false
}
