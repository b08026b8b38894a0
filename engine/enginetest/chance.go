package enginetest

import "time"

// A world does not take its random numbers from one stream, because then one number
// more would change all later ones. Each number is computed from what it is for: the
// world's seed, the lead, the node, the visit, the attempt, and the decision. So a
// change of one node's answers does not change those of other nodes.

// Chance returns a random number in [0, 1), evenly distributed, for a decision of that
// name about this attempt. In a world with the same seed and history the same decision
// gets the same number.
func (a *Attempt) Chance(decision string) float64 {
	return a.chance(textKey(decision))
}

func (a *Attempt) chance(decision uint64) float64 {
	return float64(mix(a.key^decision)>>11) / (1 << 53)
}

// Between returns a random time between the two, which may be in either order, for a
// decision of that name. It differs from least by whole milliseconds.
func (a *Attempt) Between(decision string, least, most time.Duration) time.Duration {
	return least + time.Duration(a.Chance(decision)*float64(most-least)).Truncate(time.Millisecond)
}

// attemptKey is the number from which the random numbers of an attempt are computed.
func attemptKey(seed uint64, lead int64, node uint64, visit, attempt int) uint64 {
	key := mix(seed)
	for _, part := range [...]uint64{uint64(lead), node, uint64(visit), uint64(attempt)} {
		key = mix(key ^ part)
	}
	return key
}

// mix is SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number
// Generators, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// textKey is the FNV-1a hash of a text.
func textKey(text string) uint64 {
	key := uint64(0xcbf29ce484222325)
	for i := range len(text) {
		key = (key ^ uint64(text[i])) * 0x100000001b3
	}
	return key
}
