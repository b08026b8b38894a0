//go:build unix

package engines

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// This file judges a week by the provider's record, when it is over.
//
// An engine counts an attempt from its commit, which is some time before its handler is
// called, until the commit of its end, which comes after the provider has ended it. So at
// any moment no more attempts are in flight by the provider's record than by the engines';
// and a start was at some moment between the decision and the call.

// counts reports whether an attempt counts for the limit.
func (l *weekLimit) counts(a *attempt) bool {
	return (l.flow < 0 || l.flow == a.flow) && (l.node == "" || l.node == a.node) &&
		(l.Channel == "" || l.Channel == a.channel) && (l.RateKey == "" || l.RateKey == a.rateKey)
}

// span is a time.
type span struct{ from, to moment }

// patience of people, who do not wait longer when all limits allow them to be called.
const weekPatience = time.Second

func (k *week) judge() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.rings {
		switch {
		case r.over != 0:
		case r.by.end != 0 && k.open[r.key] != r:
			r.over = r.by.end
		default:
			r.over = k.end
		}
	}
	slices.SortFunc(k.rings, func(a, b *ring) int { return cmp.Compare(a.at, b.at) })
	always := span{0, k.end}
	for i := range k.own {
		k.judgeLimit(&k.own[i], always)
	}
	for i, e := range k.epochs {
		inForce := span{e.acked.plus(blink), k.end}
		if i+1 < len(k.epochs) {
			inForce.to = k.epochs[i+1].asked
		}
		if e.acked == 0 {
			continue
		}
		for n := range e.limits {
			k.judgeLimit(&e.limits[n], inForce)
		}
	}
	k.judgeWaits()
	if k.Failed() {
		for _, l := range k.own {
			k.Logf("limit of workflow %d %s: %+v", l.flow, l.node, l.Limit)
		}
		for _, e := range k.epochs {
			k.Logf("limits for all, asked for at %s, set at %s: %+v", k.since(e.asked), k.since(e.acked), plain(e.limits))
		}
		k.Logf("what was done:\n%s", strings.Join(k.notes, "\n"))
	}
}

// judgeLimit judges that a limit was not exceeded while it was in force.
func (k *week) judgeLimit(l *weekLimit, in span) {
	var rings []*ring
	for _, r := range k.rings {
		if l.counts(&r.attempt) {
			rings = append(rings, r)
		}
	}
	for i, r := range rings {
		if r.at < in.from || r.at > in.to {
			continue
		}
		most := max(l.InFlight, l.Starts, l.PerContact)
		at := map[string]bool{r.key: true} // those that count, by key
		n := 1
		for _, other := range slices.Backward(rings[:i]) {
			switch {
			case l.InFlight > 0:
				if other.over > r.at {
					at[other.key] = true
				}
				n = len(at) // the same attempt, delivered twice, counts once
			// All of them have started since this one was decided.
			case other.decided >= in.from && other.decided > r.at.plus(-time.Duration(l.Per)) && (l.PerContact == 0 || other.phone == r.phone):
				n++
			}
		}
		if n > most {
			k.Errorf("%s at %s is the %d. that counts for the limit %+v, which was in force from %s until %s", r, k.since(r.at), n, *l, k.since(in.from), k.since(in.to))
		}
	}
}

// judgeWaits judges that nobody waited longer than a second whom all limits allowed to be
// called.
func (k *week) judgeWaits() {
	// full are times at which nobody can be expected to be called, or nobody knows.
	var unsure []span
	longest := time.Duration(0)
	for i := range k.own {
		longest = max(longest, time.Duration(k.own[i].Per))
	}
	for _, e := range k.epochs {
		for i := range e.limits {
			longest = max(longest, time.Duration(e.limits[i].Per))
		}
		if e.acked == 0 {
			e.acked = k.end
		}
		unsure = append(unsure, span{e.asked, e.acked})
	}
	for _, list := range append([][]trouble{k.troubles}, k.everyTrouble()...) {
		for _, t := range list {
			if t.to == 0 {
				t.to = k.end
			}
			after := moment(0)
			if time.Duration(t.to-t.from) > k.lease/2 { // leads are taken over, and attempts may have begun of which nobody has heard
				after = moment(k.lease + time.Second + longest)
			}
			unsure = append(unsure, span{t.from, t.to + after})
		}
	}
	for _, l := range k.all {
		if l.end != 0 {
			unsure = append(unsure, span{l.end, l.end.plus(k.lease + time.Second + longest)})
		}
	}
	waits := slices.Concat(k.waited, slices.Collect(maps.Values(k.waits)))
	kept, faults := 0, 0
	for _, w := range waits {
		if w.until == 0 {
			w.until = k.end
		}
		if time.Duration(w.until-w.due) <= weekPatience {
			continue
		}
		full := slices.Clone(unsure)
		for i := range k.own {
			full = append(full, k.fullTimes(&k.own[i], w)...)
		}
		for i, e := range k.epochs {
			to := k.end
			if i+1 < len(k.epochs) {
				to = k.epochs[i+1].asked
			}
			for n := range e.limits {
				for _, s := range k.fullTimes(&e.limits[n], w) {
					if s.from, s.to = max(s.from, e.asked), min(s.to, to); s.from < s.to {
						full = append(full, s)
					}
				}
			}
		}
		kept++
		if free := longestGap(span{w.due, w.until}, full); time.Duration(free.to-free.from) > weekPatience {
			if faults++; faults <= 5 {
				k.Errorf("lead %s waits for attempt %d of %s from %s until %s, although no limit keeps it from %s until %s",
					w.lead, w.number, w.node, k.since(w.due), k.since(w.until), k.since(free.from), k.since(free.to))
			}
		}
	}
	k.Logf("%d attempts; %d times a lead waited longer than a second; limits changed %d times; %d processes",
		len(k.rings), kept, len(k.epochs), len(k.all))
	if faults > 0 {
		k.Errorf("%d leads wait although no limit keeps them", faults)
	}
	if len(k.rings) < 20 {
		k.Error("the test tests less than it says")
	}
}

// everyTrouble are the troubles of all processes.
func (k *week) everyTrouble() (all [][]trouble) {
	for _, l := range k.all {
		all = append(all, l.troubles)
	}
	return all
}

// fullTimes are the times at which the limit is used up for those who wait, if it is in
// force then.
func (k *week) fullTimes(l *weekLimit, w *wait) (full []span) {
	if !l.counts(&w.attempt) {
		return nil
	}
	type edge struct {
		at moment
		by int
	}
	var edges []edge
	for _, r := range k.rings {
		if !l.counts(&r.attempt) || l.PerContact > 0 && r.phone != w.phone {
			continue
		}
		to := max(r.over, r.told)
		if l.InFlight == 0 {
			to = r.at.plus(time.Duration(l.Per))
		}
		edges = append(edges, edge{r.decided, 1}, edge{to, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.by, a.by)) })
	n, most, from := 0, max(l.InFlight, l.Starts, l.PerContact), moment(-1)
	for _, e := range edges {
		n += e.by
		switch {
		case n >= most && from < 0:
			from = e.at
		case n < most && from >= 0:
			full, from = append(full, span{from, e.at}), -1
		}
	}
	if from >= 0 {
		full = append(full, span{from, k.end})
	}
	return full
}

// longestGap is the longest time in whole of which no part is in the list.
func longestGap(whole span, list []span) (gap span) {
	slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	at := whole.from
	note := func(to moment) {
		if to = min(to, whole.to); to-at > gap.to-gap.from {
			gap = span{at, to}
		}
	}
	for _, s := range list {
		note(s.from)
		at = max(at, s.to)
	}
	note(whole.to)
	return gap
}

func (k *week) since(at moment) time.Duration {
	return time.Duration(at - k.begun).Round(time.Millisecond)
}

func (r *ring) String() string {
	return fmt.Sprintf("attempt %d of lead %s at %s of workflow %d with rate key %s, by %s", r.number, r.lead, r.node, r.flow, r.rateKey, r.by.name)
}
