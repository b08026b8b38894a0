package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// This file is when the child of the crash test dies.

// crashPlan is how one life of the child ends.
type crashPlan struct {
	last  bool   // not at all, but in peace when all leads are final
	on    string // the kind of event that counts; a crashEvent's, command or answer
	count int    // how many of them
	after time.Duration
	point string // where it kills itself: crashPointEnv
	power bool   // the power is cut with it
}

func (p crashPlan) String() string {
	if p.point != "" {
		return "by its own hand, " + p.point
	}
	return fmt.Sprintf("%s after %s %d", p.after, p.on, p.count)
}

// longest bounds a life whose plan does not come to pass.
func (p crashPlan) longest() time.Duration {
	switch {
	case p.point == "":
		return 1200 * time.Millisecond
	case raceEnabled:
		return 10 * time.Second
	}
	return 3 * time.Second
}

// plan says when to kill the child in the present round: in turn at a point, the
// ones first at which it was not killed yet, and at random.
func (r *crashRun) plan() crashPlan {
	rng := r.rand("plan", r.round)
	p := r.planMoment(rng)
	if r.round%2 == 0 {
		p = r.planPoint(rng)
	}
	p.power = rng.IntN(3) == 0
	return p
}

func (r *crashRun) planPoint(rng *rand.Rand) crashPlan {
	least := slices.Clone(crashPoints)
	rng.Shuffle(len(least), func(i, j int) { least[i], least[j] = least[j], least[i] })
	point := slices.MinFunc(least, func(a, b crashSpot) int { return r.died[a.name] - r.died[b.name] })
	n := 1 + rng.IntN(point.most)
	if r.missed[point.name] { // nearer, then
		n = 1
	}
	r.missed[point.name] = true
	return crashPlan{point: fmt.Sprint(point.name, " ", n)}
}

func (r *crashRun) planMoment(rng *rand.Rand) crashPlan {
	micros := func(most int) time.Duration { return time.Duration(rng.IntN(most)) * time.Microsecond }
	switch n := rng.IntN(18); {
	case n < 5:
		return crashPlan{on: "ready", count: 1, after: micros(300_000)}
	case n < 7:
		return crashPlan{on: "opening", count: 1, after: micros(20_000)}
	case n < 11:
		return crashPlan{on: "commit", count: 1 + rng.IntN(60), after: micros(2_500)}
	case n < 13:
		return crashPlan{on: "dispatch", count: 1 + rng.IntN(30), after: micros(1_000)}
	case n < 14:
		return crashPlan{on: "answer", count: 1 + rng.IntN(30), after: micros(1_500)}
	case n < 15:
		return crashPlan{on: "hook", count: 1 + rng.IntN(20), after: micros(1_500)}
	case n < 17:
		return crashPlan{on: "reply", count: 1 + rng.IntN(30), after: micros(300)}
	default:
		return crashPlan{on: "command", count: 1 + rng.IntN(30), after: micros(3_000)}
	}
}
