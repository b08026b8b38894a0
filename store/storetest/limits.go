package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leadflow-go/leadflow/store"
)

// flyingIs compares what is in flight, as both engines see it.
func (s *sharing) flyingIs(key string, want int64) {
	s.Helper()
	for _, e := range s.engines {
		if got := e.limit(key); got.Flying != want {
			s.Fatalf("%d are in flight for limit %q, want %d", got.Flying, key, want)
		}
	}
}

// startedIs compares how many have started.
func (s *sharing) startedIs(key string, want ...int32) {
	s.Helper()
	for _, e := range s.engines {
		var got []int32
		var before time.Duration
		for i, st := range e.limit(key).Starts {
			got = append(got, st.N)
			if st.Age < 0 || i > 0 && st.Age > before {
				s.Errorf("start %d is %v old, and the one before it %v", i, st.Age, before)
			}
			before = st.Age
		}
		if !slices.Equal(got, want) {
			s.Fatalf("starts of limit %q: %v, want %v", key, got, want)
		}
	}
}

func limitsAddUp(s *sharing) {
	a, b := s.engines[0], s.engines[1]
	a.uses(store.LimitUse{Key: "calls", Max: 5, Flying: 2}, store.LimitUse{Key: oddKey, Max: 1, Flying: 1})
	b.uses(store.LimitUse{Key: "calls", Max: 5, Flying: 1}, store.LimitUse{Key: "calls", Max: 5, Flying: 1}, store.LimitUse{Key: "Calls", Max: 1, Flying: 1})
	s.flyingIs("calls", 4)
	s.flyingIs("Calls", 1)
	s.flyingIs(oddKey, 1)
	a.exceeds(using(store.LimitUse{Key: "calls", Max: 5, Flying: 2}), "calls")
	b.exceeds(using(store.LimitUse{Key: oddKey, Max: 1, Flying: 1}), oddKey)
	a.uses(store.LimitUse{Key: "calls", Max: 5, Flying: 1})
	// It is the sum that counts, and the smallest Max.
	a.exceeds(using(store.LimitUse{Key: "calls", Max: 5, Flying: -1}, store.LimitUse{Key: "calls", Max: 5, Flying: 2}), "calls")
	b.exceeds(using(store.LimitUse{Key: "calls", Max: 6, Flying: 1}, store.LimitUse{Key: "calls", Max: 5}), "calls")
	b.uses(store.LimitUse{Key: "calls", Max: 6, Flying: 1})
	// What gives back, or changes nothing, is not refused.
	a.uses(store.LimitUse{Key: "calls", Flying: -1}, store.LimitUse{Key: "calls", Flying: 1})
	b.uses(store.LimitUse{Key: "calls"}, store.LimitUse{Key: "new"})
	b.uses(store.LimitUse{Key: "calls", Flying: -1})
	s.flyingIs("calls", 5)
	a.uses(store.LimitUse{Key: "calls", Flying: -7})
	s.flyingIs("calls", 0)

	const hour = time.Hour
	a.uses(store.LimitUse{Key: "rate", Max: 5, Starts: 3, Span: hour})
	b.uses(store.LimitUse{Key: "rate", Max: 5, Starts: 1, Span: hour}, store.LimitUse{Key: "rate", Max: 5, Starts: 1, Span: hour})
	s.startedIs("rate", 3, 2)
	a.exceeds(using(store.LimitUse{Key: "rate", Max: 5, Starts: 1, Span: hour}), "rate")
	b.uses(store.LimitUse{Key: "rate", Max: 4, Span: hour})
	b.uses(store.LimitUse{Key: "rate", Max: 6, Starts: 1, Span: hour})
	s.startedIs("rate", 3, 2, 1)

	// Those that are asked for, in order of key.
	states, err := a.shared.LimitUse(a.ctx, []string{"rate", "none", "calls", oddKey, "Calls", "calls"})
	a.check(err)
	var keys []string
	for _, state := range states {
		keys = append(keys, state.Key)
	}
	equal(a.suite, "keys", keys, []string{"Calls", "calls", oddKey, "rate"})
	equal(a.suite, "limits that are not used", a.limit("none"), store.LimitState{})
	none, err := a.shared.LimitUse(a.ctx, nil)
	a.check(err)
	equal(a.suite, "none", none, nil)
}

func limitLeavesNothing(s *sharing) {
	a, b := s.engines[0], s.engines[1]
	workflow, leads := a.seeded(4)
	a.uses(store.LimitUse{Key: "b", Max: 1, Flying: 1})
	b.sync()
	a.uses(store.LimitUse{Key: "a", Max: 9, Flying: 1}, store.LimitUse{Key: "rate", Max: 9, Starts: 1, Span: time.Hour})
	full := a.fullBatch(workflow, leads)
	full.Workflows, full.Settings = nil, nil // so that b is not behind
	full.Enroll = full.Enroll[:1]
	plain := full // a batch of one round trip
	plain.Enroll, plain.Suppressions, plain.Audit, plain.Share.Contacts = nil, nil, nil, nil
	before := a.contents()
	for _, batch := range []store.Batch{full, plain} {
		batch.Share.Limits = []store.LimitUse{
			{Key: "c", Max: 9, Flying: 1}, {Key: "b", Max: 1, Flying: 1}, {Key: "a", Max: 9, Flying: 1}, {Key: "rate", Max: 9, Starts: 1, Span: time.Hour},
		}
		for _, e := range s.engines {
			e.exceeds(batch, "b")
		}
		equal(a.suite, "contents", a.contents(), before)
		s.flyingIs("a", 1)
		s.flyingIs("b", 1)
		s.flyingIs("c", 0)
		s.startedIs("rate", 1)
	}
	b.uses(store.LimitUse{Key: "b", Max: 1, Flying: -1})
	full.Share.Limits = []store.LimitUse{{Key: "b", Max: 1, Flying: 1}, {Key: "rate", Max: 9, Starts: 1, Span: time.Hour}}
	_, err := b.decide(full)
	b.check(err)
	s.flyingIs("b", 1)
	s.startedIs("rate", 1, 1)
}

func limitsOfWhatIsLeftOut(s *sharing) {
	a, b := s.engines[0], s.engines[1]
	workflow, leads := a.enrolled(3)
	b.sync()
	stale := changeOf(leads[0].Record, func(*store.Record) {})
	a.must(store.Batch{Changes: []store.Change{stale}})
	fresh := changeOf(leads[1].Record, func(*store.Record) {})
	of := func(lead int64, n int64) []store.LimitUse {
		return []store.LimitUse{{Key: "calls", Lead: lead, Max: 2, Flying: n}, {Key: "rate", Lead: lead, Max: 2, Starts: int32(n), Span: time.Hour}}
	}
	// The stale one would exceed the limits.
	batch := store.Batch{Changes: []store.Change{stale, fresh}}
	batch.Share.Partial, batch.Share.Limits = true, slices.Concat(of(stale.Before.Seq, 2), of(fresh.Before.Seq, 1))
	done, err := b.decide(batch)
	b.check(err)
	equal(b.suite, "stale", done.Stale, []int64{stale.Before.Seq})
	s.flyingIs("calls", 1)
	s.startedIs("rate", 1)

	live, welcome := b.newLeadOf(workflow, leads[2].Contact.Phone), b.newLead(workflow)
	batch = store.Batch{Enroll: []store.Enrollment{live, welcome}}
	batch.Share.Limits = slices.Concat(of(live.Record.Seq, 2), of(welcome.Record.Seq, 1))
	done, err = b.decide(batch)
	b.check(err)
	equal(b.suite, "refused", done.Refused, []store.Refusal{{Index: 0, Live: leads[2].Seq}})
	s.flyingIs("calls", 2)
	s.startedIs("rate", 1, 1)
}

// racers is how many goroutines race, half of them for each engine.
const racers = 8

// race has all racers run at the same time, each with a source of random numbers.
func (s *sharing) race(run func(e *sharer, random *rand.Rand)) {
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() { run(s.engines[i%len(s.engines)], rand.New(rand.NewPCG(uint64(i), 0))) })
	}
	group.Wait()
}

func limitRace(s *sharing) {
	const most, rounds = 10, 60
	var inFlight, refused atomic.Int64
	s.race(func(e *sharer, random *rand.Rand) {
		var has int64
		for round := range rounds {
			n := 1 + random.Int64N(4)
			if round == rounds-1 || has > 0 && random.IntN(2) == 0 {
				n = -has
			}
			if n < 0 {
				inFlight.Add(n) // before the store knows
			}
			// The keys come in any order.
			list := []store.LimitUse{{Key: "calls", Max: most, Flying: n}, {Key: "all", Max: 1000, Flying: n}, {Key: "other", Max: 1000, Flying: n}}
			random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			switch err := e.use(list...); {
			case err == nil:
				has += n
				if n > 0 { // only after the store knows
					if got := inFlight.Add(n); got > most {
						s.Errorf("%d are in flight", got)
					}
				}
			case n > 0 && errors.Is(err, store.ErrLimit):
				refused.Add(1)
			default:
				s.Errorf("%d more: %v", n, err)
				return
			}
			states, err := e.shared.LimitUse(e.ctx, []string{"calls", "all", "other"})
			if err != nil || len(states) != 3 {
				s.Errorf("%+v, %v", states, err)
				return
			}
			for _, state := range states {
				if state.Flying > most || state.Flying != states[0].Flying {
					s.Errorf("in flight: %+v", states)
				}
			}
		}
	})
	s.Logf("%d of %d batches were refused", refused.Load(), racers*rounds)
	s.flyingIs("calls", 0)
	s.flyingIs("all", 0)
}

func spanRace(s *sharing) {
	const most, span, enough = 1000, 40 * time.Millisecond, 12_000
	ctx, cancel := context.WithTimeout(s.Context(), deadline)
	defer cancel()
	var started atomic.Int64
	s.race(func(e *sharer, random *rand.Rand) {
		for started.Load() < enough && ctx.Err() == nil {
			n := 1 + random.Int32N(most/2)
			err := e.use(store.LimitUse{Key: "rate", Max: most, Starts: n, Span: span})
			switch {
			case err == nil:
				started.Add(int64(n))
			case !errors.Is(err, store.ErrLimit):
				s.Errorf("%d starts: %v", n, err)
				return
			}
			states, err := e.shared.LimitUse(e.ctx, []string{"rate"})
			if err != nil || len(states) > 1 {
				s.Errorf("%+v, %v", states, err)
				return
			}
			for _, state := range states {
				for i, first := range state.Starts { // the first of a span
					var within int32
					for _, st := range state.Starts[i:] {
						if first.Age-st.Age <= span {
							within += st.N
						}
					}
					if within > most {
						s.Errorf("%d have started within %v: %+v", within, span, state.Starts)
						return
					}
				}
			}
		}
	})
	if n := started.Load(); n < enough { // or else the span does not move on
		s.Errorf("only %d have started after %v", n, deadline)
	}
}

func limitBase(s *sharing) {
	a, b := s.engines[0], s.engines[1]
	// b has not taken note of the limit, so it cannot change what counts.
	_, err := a.decide(store.Batch{Settings: []store.Setting{{Name: "limits", Value: []byte("calls: 5")}}})
	a.check(err)
	if err := b.use(store.LimitUse{Key: "other", Max: 9, Flying: 1}); !errors.Is(err, store.ErrBehind) {
		s.Fatalf("got error %v, want that the engine is behind", err)
	}
	b.sync()
	// Both have counted three. The number of the first one counts.
	b.exceeds(using(store.LimitUse{Key: "calls", Max: 3, Base: 3, Flying: 1}), "calls")
	equal(a.suite, "after a refusal", a.limit("calls"), store.LimitState{})
	b.uses(store.LimitUse{Key: "calls", Max: 5, Base: 3, Flying: 1})
	s.flyingIs("calls", 4)
	a.uses(store.LimitUse{Key: "calls", Max: 5, Base: 3, Flying: 1})
	s.flyingIs("calls", 5)
	a.exceeds(using(store.LimitUse{Key: "calls", Max: 5, Base: 3, Flying: 1}), "calls")
	b.uses(store.LimitUse{Key: "calls", Max: 5, Base: 3, Flying: -2})
	s.flyingIs("calls", 3)
	// Also if it is the end of an attempt that comes first, or nothing changes.
	b.uses(store.LimitUse{Key: "ends", Max: 1, Base: 3, Flying: -1}, store.LimitUse{Key: "stays", Max: 1, Base: 3})
	s.flyingIs("ends", 2)
	s.flyingIs("stays", 3)

	// In a race each counts what the other may have changed already.
	const most, base = 12, 4
	var done atomic.Int64
	s.race(func(e *sharer, _ *rand.Rand) {
		switch err := e.use(store.LimitUse{Key: "new", Max: most, Base: base, Flying: 1}); {
		case err == nil:
			done.Add(1)
		case !errors.Is(err, store.ErrLimit):
			s.Error(err)
		}
	})
	if done.Load() != racers {
		s.Errorf("%d batches were committed, want %d", done.Load(), racers)
	}
	s.flyingIs("new", base+racers)
	a.exceeds(using(store.LimitUse{Key: "new", Max: most, Base: base, Flying: 1}), "new")
}

func limitsForgotten(s *sharing) {
	a, b := s.engines[0], s.engines[1]
	for _, key := range []string{"calls", oddKey, "kept"} {
		a.uses(store.LimitUse{Key: key, Max: 5, Flying: 2})
	}
	a.uses(store.LimitUse{Key: "rate", Max: 1, Starts: 1, Span: time.Hour})
	change := store.Batch{
		Settings: []store.Setting{{Name: "limits", Value: []byte("none")}}, Share: store.Share{ForgetLimits: []string{"calls", "rate", oddKey, "none", "calls"}},
	}
	_, err := a.decide(change)
	a.check(err)
	if err := b.use(store.LimitUse{Key: "calls", Max: 5, Flying: -1}); !errors.Is(err, store.ErrBehind) {
		s.Fatalf("got error %v, want that the engine is behind", err)
	}
	for _, key := range change.Share.ForgetLimits {
		equal(a.suite, key, b.limit(key), store.LimitState{})
	}
	s.flyingIs("kept", 2)
	b.sync()
	b.uses(store.LimitUse{Key: "calls", Max: 5, Base: 1, Flying: 1}, store.LimitUse{Key: "rate", Max: 1, Starts: 1, Span: time.Hour})
	s.flyingIs("calls", 2)
	s.startedIs("rate", 1)
}

func limitFaults(s *sharing) {
	a := s.engines[0]
	for name, sh := range map[string]store.Share{
		"no key":                   {Limits: []store.LimitUse{{Max: 1, Flying: 1}}},
		"a negative Max":           {Limits: []store.LimitUse{{Key: "a", Max: -1}}},
		"a negative Base":          {Limits: []store.LimitUse{{Key: "a", Max: 1, Base: -1}}},
		"negative Starts":          {Limits: []store.LimitUse{{Key: "a", Max: 1, Starts: -1, Span: 1}}},
		"a negative Span":          {Limits: []store.LimitUse{{Key: "a", Max: 1, Starts: 1, Span: -1}}},
		"Starts without a Span":    {Limits: []store.LimitUse{{Key: "a", Max: 1, Starts: 1}}},
		"Flying with a Span":       {Limits: []store.LimitUse{{Key: "a", Max: 1, Flying: 1, Span: 1}}},
		"a Base with a Span":       {Limits: []store.LimitUse{{Key: "a", Max: 1, Base: 1, Span: 1}}},
		"two Spans":                {Limits: []store.LimitUse{{Key: "a", Max: 1, Span: 1}, {Key: "a", Max: 1, Span: 2}}},
		"forgetting alone":         {ForgetLimits: []string{"a"}},
		"forgetting what is used ": {Limits: []store.LimitUse{{Key: "a", Max: 1, Flying: 1}}, ForgetLimits: []string{"a"}},
	} {
		b := store.Batch{Share: sh}
		if len(sh.Limits) > 0 {
			b.Settings = []store.Setting{{Name: "limits", Value: []byte("new")}}
		}
		_, err := a.decide(b)
		var row *store.RowError
		if !errors.As(err, &row) || row.Kind != "limit" || errors.Is(err, store.ErrUnavailable) {
			s.Errorf("%s: got error %v, want one of a limit", name, err)
		}
	}
	equal(a.suite, "limit", a.limit("a"), store.LimitState{})
	settings, err := a.Settings(a.ctx)
	a.check(err)
	equal(a.suite, "settings", settings, nil)
}
