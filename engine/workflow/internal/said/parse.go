package said

import "time"

// Parse returns the time that a text names, on the clock of the zone, which is always
// after now. It reports false if the text names none, or one that has passed or is more
// than ten years away. It takes some ten microseconds, and
// less than a millisecond whatever the text.
func Parse(text string, now time.Time, zone *time.Location) (time.Time, bool) {
	if t, ok := instant(text); ok {
		return t.In(zone), t.After(now) && near(t, now)
	}
	toks, ok := tokens(text)
	if !ok {
		return time.Time{}, false
	}
	p := &parser{toks: toks}
	for p.at < len(p.toks) && !p.failed {
		p.step()
	}
	if p.failed {
		return time.Time{}, false
	}
	t, ok := p.resolve(now.In(zone))
	return t, ok && t.After(now) && near(t, now)
}

func near(t, now time.Time) bool { return t.Before(now.AddDate(10, 0, 0)) }

// instant reads what a machine wrote.
func instant(text string) (time.Time, bool) {
	if len(text) > maxText {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// moment is a time of day.
type moment struct {
	minutes int  // since midnight, may be in the next day
	bare    bool // an hour of 12, of which nobody said whether before or after noon
	shift   int  // minutes after that: -15 of a quarter to five
}

// span is a length of time from now.
type span struct {
	minutes, days, months int
}

// part is a part of the day.
type part struct {
	from, to int // minutes: when somebody is called who said no more, and when it is over
	named    string
}

var parts = map[string]part{
	"morning": {9 * 60, 12 * 60, "morning"}, "afternoon": {14 * 60, 18 * 60, "afternoon"}, "evening": {18 * 60, 21 * 60, "evening"}, "night": {20 * 60, 23 * 60, "night"},
}

// shades are the beginnings of parts that somebody calls early, mid or late.
var shades = map[string]map[string]int{
	"early": {"morning": 8 * 60, "afternoon": 13 * 60, "evening": 17 * 60},
	"mid":   {"morning": 10 * 60, "afternoon": 15 * 60},
	"late":  {"morning": 11 * 60, "afternoon": 16 * 60, "evening": 20 * 60, "night": 22 * 60},
}

// parser reads the tokens from left to right into slots. A slot is filled once; what
// follows "or" or "to" for a filled slot is an alternative, and is skipped.
type parser struct {
	toks   []token
	at     int
	failed bool

	connected   bool // the token before was a connector
	alternative bool // an alternative was skipped
	after       bool // "after" came before
	before      bool // "before" or "by" came before

	clock, second *moment // a time, and the end of the span that it begins
	sameTime      bool
	part          *part
	span          *span
	days          days
}

func (p *parser) peek(i int) token {
	if p.at+i < len(p.toks) {
		return p.toks[p.at+i]
	}
	return token{kind: dash}
}

// is reports whether the words come next.
func (p *parser) is(words ...string) bool {
	for i, w := range words {
		if p.peek(i).kind != word || p.peek(i).text != w {
			return false
		}
	}
	return true
}

// take is is, and consumes the words.
func (p *parser) take(words ...string) bool {
	if !p.is(words...) {
		return false
	}
	p.at += len(words)
	return true
}

// takeAny consumes one of the words.
func (p *parser) takeAny(words ...string) bool {
	for _, w := range words {
		if p.take(w) {
			return true
		}
	}
	return false
}

// step reads what comes next.
func (p *parser) step() {
	from := p.at
	switch {
	case p.aside(), p.notBefore():
		p.connected = false
		return
	case p.readSpan(), p.readDay(), p.readTime(), p.readPart():
		p.connected, p.after, p.before = false, false, false
		return
	}
	p.at = from
	t := p.peek(0)
	switch {
	case p.failed:
	case t.kind == dash:
		p.connected = true
	case t.kind != word:
		p.failed = true
	case t.text == "after":
		p.after = true
	case t.text == "before" || t.text == "by":
		p.before = true
	case connectors[t.text]:
		p.connected = true
	case t.text == "between" || fillers[t.text]:
	default:
		p.failed = true
	}
	p.at++
}

func (p *parser) aside() bool {
	for _, words := range asides {
		if p.take(words...) {
			return true
		}
	}
	return false
}

// notBefore reads what makes the next item the earliest time.
func (p *parser) notBefore() bool {
	return p.take("not", "before") || p.take("not", "until") || p.take("not", "till") || p.take("not", "earlier", "than") || p.take("no", "earlier", "than")
}

// taken reports whether a slot that is filled may not be filled again.
func (p *parser) taken() {
	if p.connected || p.alternative {
		p.alternative = true
		return
	}
	p.failed = true
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

// readPart reads a part of the day.
func (p *parser) readPart() bool {
	from := p.at
	if p.take("first", "thing") || p.peek(0).kind == ordinal && p.peek(0).text == "first" && p.peek(1).text == "thing" {
		if p.at == from {
			p.at += 2
		}
		if p.is("in", "the", "morning") {
			p.at += 3
		}
		p.take("morning")
		return p.setPart(part{8 * 60, 12 * 60, "morning"})
	}
	this := p.take("this")
	p.take("in")
	p.take("the")
	var shade string
	for _, s := range []string{"early", "mid", "late"} {
		if p.take(s) {
			shade = s
			if p.peek(0).kind == dash {
				p.at++
			}
			p.take("in")
			p.take("the")
		}
	}
	name := p.peek(0)
	if name.kind != word {
		p.at = from
		return false
	}
	text := name.text
	if text == "mornings" || text == "afternoons" || text == "evenings" || text == "nights" {
		text = text[:len(text)-1]
	}
	found, ok := parts[text]
	if !ok {
		p.at = from
		return false
	}
	p.at++
	if shade != "" {
		if found.from, ok = shades[shade][text]; !ok {
			p.failed = true
			return true
		}
	}
	if this {
		p.days.today = true
	}
	return p.setPart(found)
}

func (p *parser) setPart(to part) bool {
	if p.part != nil && p.part.named != to.named {
		p.taken()
		return true
	}
	if p.part == nil || to.from != parts[to.named].from {
		p.part = &to
	}
	return true
}
