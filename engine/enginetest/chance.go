package enginetest

import "time"

// Nothing in a world is drawn from one stream of random numbers, because then
// one draw more would change all that come after it. Each number is worked out
// from what it is for: the world's seed, the lead, the node, how often the lead
// has come there, the attempt, and what is being decided. So a change of one
// node's answers leaves those of all others as they are.

// Chance returns a number from 0 up to 1, evenly spread, for a decision of that
// name about this attempt. The same decision of an equal world gets the same
// number.
func (a *Attempt) Chance(decision string) float64 {
	return a.chance(textKey(decision))
}

func (a *Attempt) chance(decision uint64) float64 {
	return float64(mix(a.key^decision)>>11) / (1 << 53)
}

// Between returns a time between the two, in either order and in steps of whole
// milliseconds from the first, for a decision of that name.
func (a *Attempt) Between(decision string, least, most time.Duration) time.Duration {
	return least + time.Duration(a.Chance(decision)*float64(most-least)).Truncate(time.Millisecond)
}

// attemptKey is what the numbers of an attempt are worked out from.
func attemptKey(seed uint64, lead int64, node uint64, visit, attempt int) uint64 {
	key := mix(seed)
	for _, part := range [...]uint64{uint64(lead), node, uint64(visit), uint64(attempt)} {
		key = mix(key ^ part)
	}
	return key
}

// mix turns a number into one that looks random: SplitMix64, of Steele, Lea and
// Flood, Fast Splittable Pseudorandom Number Generators, 2014.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// textKey makes a number of a text: FNV-1a.
func textKey(text string) uint64 {
	key := uint64(0xcbf29ce484222325)
	for i := range len(text) {
		key = (key ^ uint64(text[i])) * 0x100000001b3
	}
	return key
}
