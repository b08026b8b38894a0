package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/leadflow-go/leadflow/store"
)

// startOf is the key of a start.
type startOf struct {
	key   string
	phone int64
	at    store.Millis
}

// startLog is what a store must know of starts: how many there are of each key.
type startLog map[startOf]int32

func (log startLog) apply(b *store.Batch) {
	for _, st := range b.Starts {
		log[startOf{st.Key, st.Phone, st.At}] += st.N
	}
	for _, f := range b.ForgetStarts {
		maps.DeleteFunc(log, func(of startOf, _ int32) bool { return of.key == f.Key && of.at < f.Before })
	}
}

// matching returns the starts that the query selects.
func (log startLog) matching(q store.StartQuery) (list []store.Start) {
	for of, n := range log {
		if of.key == q.Key && of.phone == q.Phone && of.at >= q.Since {
			list = append(list, store.Start{Key: of.key, Phone: of.phone, At: of.at, N: n})
		}
	}
	slices.SortFunc(list, func(a, b store.Start) int { return cmp.Compare(a.At, b.At) })
	return list
}

// walkedStarts select those that full batches and random walks write.
var walkedStarts = []store.StartQuery{{Key: "calls"}, {Key: "people", Phone: 4930555001}, {Key: "people", Phone: 4930555002}}

// startsAre compares the store's answer with what is in the log.
func (s *suite) startsAre(q store.StartQuery, log startLog) {
	s.Helper()
	got, err := s.Starts(s.ctx, q)
	s.check(err)
	equal(s, fmt.Sprintf("starts of %+v", q), got, log.matching(q))
}

const oddKey = "o'clock \"☎\"\n\x00\xff; --"

// startQueries ask for what the tests write, and for what they do not.
func startQueries() (list []store.StartQuery) {
	for _, key := range []string{"calls", "Calls", "people", oddKey, "none"} {
		for _, phone := range []int64{0, 4930555001, 4930555002, 999999999999999} {
			for _, since := range []store.Millis{0, start, start + 3, start + 20} {
				list = append(list, store.StartQuery{Key: key, Phone: phone, Since: since})
			}
		}
	}
	return list
}

func startsKept(s *suite) {
	log := startLog{}
	write := func(b store.Batch) {
		s.Helper()
		s.must(b)
		log.apply(&b)
		for range 2 {
			for _, q := range startQueries() {
				s.startsAre(q, log)
			}
			s.reopen()
		}
	}
	write(store.Batch{Starts: []store.Start{
		{Key: "calls", At: start, N: 1}, {Key: "calls", At: start + 4, N: 70_000}, {Key: "calls", At: start + 2, N: 3},
		{Key: "Calls", At: start, N: 4}, {Key: oddKey, Phone: 999999999999999, At: start + 1, N: 1},
		{Key: "people", Phone: 4930555001, At: start + 3, N: 1}, {Key: "people", Phone: 4930555002, At: start + 3, N: 2},
	}})
	// At a time that is known, in one batch or in several, they add up.
	write(store.Batch{Starts: []store.Start{
		{Key: "calls", At: start + 2, N: 2}, {Key: "calls", At: start + 2, N: 2}, {Key: "calls", At: start + 1, N: 1},
		{Key: "people", Phone: 4930555001, At: start + 3, N: 5}, {Key: "people", Phone: 4930555001, At: start, N: 1}, {Key: "people", At: start + 3, N: 9},
	}})
}

func startsForgotten(s *suite) {
	log := startLog{}
	write := func(b store.Batch) {
		s.Helper()
		s.must(b)
		log.apply(&b)
		for _, q := range startQueries() {
			s.startsAre(q, log)
		}
		s.reopen()
	}
	var all []store.Start
	for i := range 8 {
		at := start + store.Millis(i)
		all = append(all,
			store.Start{Key: "calls", At: at, N: 1}, store.Start{Key: "Calls", At: at, N: 1},
			store.Start{Key: "people", Phone: 4930555001 + int64(i%2), At: at, N: 1}, store.Start{Key: "people", Phone: 4930555001, At: at, N: 1})
	}
	write(store.Batch{Starts: all})
	write(store.Batch{ForgetStarts: []store.ForgetStarts{{Key: "calls", Before: start + 3}, {Key: "none", Before: start + 3}}})
	write(store.Batch{ForgetStarts: []store.ForgetStarts{{Key: "people", Before: start + 5}}}) // of all phones
	// After the batch's own starts.
	write(store.Batch{
		Starts:       []store.Start{{Key: "calls", At: start + 2, N: 1}, {Key: "calls", At: start + 6, N: 1}, {Key: "people", Phone: 4930555002, At: start, N: 1}},
		ForgetStarts: []store.ForgetStarts{{Key: "calls", Before: start + 5}, {Key: "people", Before: start + 1}},
	})
	write(store.Batch{ForgetStarts: []store.ForgetStarts{{Key: "calls", Before: start + 100}, {Key: "people", Before: start + 100}}})
	write(store.Batch{Starts: []store.Start{{Key: "people", Phone: 4930555001, At: start, N: 1}, {Key: "calls", At: start, N: 1}}})
}

// A batch that fails leaves no start and forgets none; one whose enrollment is refused is
// written, and its starts are.
func startsWithRefusals(s *suite) {
	_, leads := s.enrolled(1)
	log := startLog{}
	first := store.Batch{Starts: []store.Start{{Key: "calls", At: start, N: 1}}}
	s.must(first)
	log.apply(&first)
	b := store.Batch{
		Starts: []store.Start{{Key: "calls", At: start, N: 1}, {Key: "calls", At: start + 1, N: 1}}, ForgetStarts: []store.ForgetStarts{{Key: "calls", Before: start + 1}},
	}
	check := func() {
		s.Helper()
		s.startsAre(store.StartQuery{Key: "calls"}, log)
		s.reopen()
		s.startsAre(store.StartQuery{Key: "calls"}, log)
	}
	stale := leads[0].Record
	stale.Version++
	failing := b
	failing.Changes = []store.Change{changeOf(stale, func(*store.Record) {})}
	s.conflict(failing, "lead", stale.Seq)
	check()
	b.Enroll = []store.Enrollment{s.newLeadOf(leads[0].Workflow, leads[0].Contact.Phone)}
	equal(s, "refused", s.commit(b).Refused, []store.Refusal{{Live: leads[0].Seq}})
	log.apply(&b)
	check()
}

// manyStarts has 20,000 of one limit, of many contacts.
func manyStarts(s *suite) {
	const n, size = 20_000, 1000
	log := startLog{}
	for first := 0; first < n; first += size {
		var b store.Batch
		for i := first; i < first+size; i++ {
			b.Starts = append(b.Starts, store.Start{Key: "people", Phone: 4930555001 + int64(i%7000), At: start + store.Millis(i/3), N: 1})
		}
		s.must(b)
		log.apply(&b)
	}
	forget := store.Batch{ForgetStarts: []store.ForgetStarts{{Key: "people", Before: start + n/6}}}
	s.must(forget)
	log.apply(&forget)
	for range 2 {
		for phone := int64(4930555001); phone < 4930555001+7000; phone += 999 {
			s.startsAre(store.StartQuery{Key: "people", Phone: phone}, log)
			s.startsAre(store.StartQuery{Key: "people", Phone: phone, Since: start + n/4}, log)
		}
		s.startsAre(store.StartQuery{Key: "people"}, log)
		s.reopen()
	}
}
