package hours

import (
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// The oracle is a second computation of openings that shares no code with the first. It
// asks of every minute what the clocks show, and applies the rule of the package
// comment to it.

// local is what clocks show at a moment, given in seconds.
type local func(unix int64) time.Time

func clockIn(zone *time.Location) local {
	return func(unix int64) time.Time { return time.Unix(unix, 0).In(zone) }
}

func dateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{year, month, day}
}

// allows is the rule.
func allows(h *Hours, shown time.Time) bool {
	today, yesterday := shown, time.Date(shown.Year(), shown.Month(), shown.Day()-1, 12, 0, 0, 0, time.UTC)
	free := true // yesterday was no holiday
	for _, holiday := range h.Holidays {
		if holiday == dateOf(today) {
			return false
		}
		if holiday == dateOf(yesterday) {
			free = false
		}
	}
	hour, minute, _ := shown.Clock()
	now := 60*hour + minute
	for _, w := range h.Windows {
		overnight := w.To <= w.From
		switch {
		case w.Days[today.Weekday()] && w.From <= now && (overnight || now < w.To),
			overnight && free && w.Days[yesterday.Weekday()] && now < w.To:
			return true
		}
	}
	return false
}

// oracle knows of every step of a span of time whether each rule, which is hours in a
// zone, allows it.
type oracle struct {
	start, step int64
	rules       [][]bool
	spreads     []time.Duration
	all         []bool // allow
}

// margin is how much more time than is asked for the oracle has to know.
const margin = 9 * 24 * time.Hour

func newOracle(hours []*Hours, clocks []local, from, to time.Time) *oracle {
	o := &oracle{start: from.Add(-margin).Unix(), step: 60}
	end := to.Add(margin).Unix()
	for _, shown := range clocks { // a few of old have seconds in their offsets
		for _, at := range []int64{o.start, end} {
			if _, offset := shown(at).Zone(); offset%60 != 0 {
				o.step = 10
			}
		}
	}
	n := int((end - o.start) / o.step)
	o.all = make([]bool, n)
	for i := range o.all {
		o.all[i] = true
	}
	for _, shown := range clocks {
		at := make([]time.Time, n)
		for i := range at {
			at[i] = shown(o.start + int64(i)*o.step)
		}
		for _, h := range hours {
			rule := make([]bool, n)
			for i := range rule {
				rule[i] = allows(h, at[i])
				o.all[i] = o.all[i] && rule[i]
			}
			o.rules = append(o.rules, rule)
			o.spreads = append(o.spreads, min(h.Spread, 7*24*time.Hour))
		}
	}
	return o
}

func (o *oracle) time(i int) time.Time { return time.Unix(o.start+int64(i)*o.step, 0).UTC() }

// run returns the run of true around i.
func run(of []bool, i int) (from, to int) {
	for from = i; from > 0 && of[from-1]; from-- {
	}
	for to = i; to < len(of) && of[to]; to++ {
	}
	return from, to
}

// next is what Opening should return; ok is false if the oracle sees no opening.
func (o *oracle) next(from time.Time, share float64) (opens, closes time.Time, ok bool) {
	i := int((from.Unix() - o.start) / o.step)
	for ; i < len(o.all) && !o.all[i]; i++ {
	}
	if i == len(o.all) {
		return opens, closes, false
	}
	a, b := run(o.all, i)
	closes = o.time(b)
	late := false
	for r, rule := range o.rules {
		start, _ := run(rule, i)
		if mine := o.time(start).Add(time.Duration(share * float64(o.spreads[r]))); mine.After(opens) {
			opens = mine
		}
		late = late || o.time(start).Add(o.spreads[r]).After(closes)
	}
	if late {
		opens = o.time(a).Add(time.Duration(share * float64(closes.Sub(o.time(a)))))
	}
	atMost := from
	if o.time(i).After(from) {
		atMost = o.time(i)
	}
	if atMost = atMost.Truncate(time.Second).AddDate(0, 0, 7); closes.After(atMost) {
		closes = atMost
	}
	if opens.Before(from) {
		opens = from
	}
	return opens, closes, true
}

// world is a question to Opening with all that it depends on.
type world struct {
	hours    []*Hours
	zones    []string
	goZones  bool // by the files of the Go distribution
	share    float64
	from, to time.Time
}

func (w world) String() string {
	var b strings.Builder
	for _, h := range w.hours {
		fmt.Fprintf(&b, "%#v\n", *h)
	}
	fmt.Fprintf(&b, "zones %q, share %v, from %v to %v", w.zones, w.share, w.from, w.to)
	return b.String()
}

// check compares every opening between from and to with the oracle's, and those asked
// for at the times given.
func (w world) check(t rapid.TB, o *oracle, asked ...time.Time) {
	t.Helper()
	var zones []*time.Location
	for _, name := range w.zones {
		at := goZones()[name]
		if !w.goZones || at == nil {
			at = zone(t, name)
		}
		zones = append(zones, at)
	}
	if o == nil {
		var clocks []local
		for _, zone := range zones {
			clocks = append(clocks, clockIn(zone))
		}
		o = newOracle(w.hours, clocks, w.from, w.to)
	}
	one := func(from time.Time) time.Time {
		opens, closes, ok := Opening(w.hours, zones, w.share, from)
		wantOpens, wantCloses, wantOK := o.next(from, w.share)
		switch {
		case !wantOK: // the oracle's world ends before any opening
			if edge := o.time(len(o.all)); ok && opens.Before(edge) {
				t.Fatalf("%v\nfrom %v: opens %v, want nothing before %v", w, from, opens, edge)
			}
			return w.to
		case !ok:
			t.Fatalf("%v\nfrom %v: never opens, want %v", w, from, wantOpens)
		case !opens.Equal(wantOpens) || wantCloses.Before(w.to) && !closes.Equal(wantCloses):
			t.Fatalf("%v\nfrom %v:\nopens %v until %v, want\n      %v until %v", w, from, opens, closes, wantOpens, wantCloses)
		case !opens.Before(closes) || opens.Before(from):
			t.Fatalf("%v\nfrom %v: opens %v until %v", w, from, opens, closes)
		}
		return closes
	}
	for from := w.from; from.Before(w.to); {
		from = one(from)
	}
	for _, from := range asked {
		one(from)
	}
}
