package disktest

import "math/rand/v2"

// Outcome is what became of a sector that was written and not synced, or of a
// name, or of a file's end.
type Outcome uint8

// The outcomes. Names and ends are kept or lost.
const (
	Lost    Outcome = iota // it is as it was before
	Kept                   // it is as it was written
	Torn                   // its first bytes are, the others are as before
	Garbled                // neither
)

// Fate says what becomes of a sector of an operation, both counted in the order
// in which they happened. It is asked about all that is not synced.
type Fate func(op, sector int) Outcome

// Everything keeps all that was written, as a process does that is killed.
func Everything(int, int) Outcome { return Kept }

// Nothing keeps what was synced and no more.
func Nothing(int, int) Outcome { return Lost }

// Until keeps what came before the operation.
func Until(op int) Fate {
	return func(o, _ int) Outcome {
		if o < op {
			return Kept
		}
		return Lost
	}
}

// TornAt keeps what came before a sector of an operation, which is torn.
func TornAt(op, sector int) Fate {
	return func(o, s int) Outcome {
		switch {
		case o < op, o == op && s < sector:
			return Kept
		case o == op && s == sector:
			return Torn
		}
		return Lost
	}
}

// Chance keeps so many percent of the sectors, wherever they are, and tears or
// garbles so many of the rest.
func Chance(rng *rand.Rand, keep, damage int) Fate {
	return func(int, int) Outcome {
		switch {
		case rng.IntN(100) < keep:
			return Kept
		case rng.IntN(100) >= damage:
			return Lost
		case rng.IntN(2) == 0:
			return Torn
		}
		return Garbled
	}
}
