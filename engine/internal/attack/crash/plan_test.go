package crash

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
)

// This file decides when the child of the crash test dies.

// plan is how one life of the child ends.
type plan struct {
	last  bool   // it is not killed, and quits when all leads are final
	on    string // the kind of event that counts; a event's, command or answer
	count int    // how many of them
	after time.Duration
	point string // where it kills itself: pointEnv
	power bool   // the power is cut with it
}

func (p plan) String() string {
	if p.point != "" {
		return "by its own hand, " + p.point
	}
	return fmt.Sprintf("%s after %s %d", p.after, p.on, p.count)
}

// longest bounds a life in which the planned event does not happen.
func (p plan) longest() time.Duration {
	switch {
	case p.point == "":
		return 1200 * time.Millisecond
	case world.RaceEnabled:
		return 10 * time.Second
	}
	return 3 * time.Second
}

// plan says when to kill the child in this round: alternately at a point, preferring
// those at which it was not killed yet, and at random.
func (r *run) plan() plan {
	rng := r.rand("plan", r.round)
	p := r.planMoment(rng)
	if r.round%2 == 0 {
		p = r.planPoint(rng)
	}
	p.power = rng.IntN(3) == 0
	return p
}

func (r *run) planPoint(rng *rand.Rand) plan {
	least := slices.Clone(points)
	rng.Shuffle(len(least), func(i, j int) { least[i], least[j] = least[j], least[i] })
	point := slices.MinFunc(least, func(a, b spot) int { return r.died[a.name] - r.died[b.name] })
	n := 1 + rng.IntN(point.most)
	if r.missed[point.name] { // nearer, then
		n = 1
	}
	r.missed[point.name] = true
	return plan{point: fmt.Sprint(point.name, " ", n)}
}

func (r *run) planMoment(rng *rand.Rand) plan {
	micros := func(most int) time.Duration { return time.Duration(rng.IntN(most)) * time.Microsecond }
	switch n := rng.IntN(18); {
	case n < 5:
		return plan{on: "ready", count: 1, after: micros(300_000)}
	case n < 7:
		return plan{on: "opening", count: 1, after: micros(20_000)}
	case n < 11:
		return plan{on: "commit", count: 1 + rng.IntN(60), after: micros(2_500)}
	case n < 13:
		return plan{on: "dispatch", count: 1 + rng.IntN(30), after: micros(1_000)}
	case n < 14:
		return plan{on: "answer", count: 1 + rng.IntN(30), after: micros(1_500)}
	case n < 15:
		return plan{on: "hook", count: 1 + rng.IntN(20), after: micros(1_500)}
	case n < 17:
		return plan{on: "reply", count: 1 + rng.IntN(30), after: micros(300)}
	default:
		return plan{on: "command", count: 1 + rng.IntN(30), after: micros(3_000)}
	}
}
