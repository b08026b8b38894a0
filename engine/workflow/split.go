package workflow

import (
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
)

// split deals leads among the edges of a split node.
//
// Of the numbers of leads every 1009 in a row, and also every 1009 of those that are
// 2, 3, … or 1008 apart, have all the remainders by the prime 1009. Each remainder has
// a place of its own in [0,1), so that any 1000 such leads leave out 9 places at most
// and miss no weight's share by more than 1%. Which place, is drawn at random for each
// node: nodes in a row deal independently of each other.
type split struct {
	labels []string  // sorted
	upTo   []float64 // by label: where its part of [0,1) ends
	salt   uint64    // of the node
	places [splitPlaces]uint16
}

const splitPlaces = 1009

func newSplit(node string, weights map[string]float64) *split {
	name := fnv.New64a()
	name.Write([]byte(node))
	s := &split{salt: name.Sum64(), labels: slices.Sorted(maps.Keys(weights))}
	var sum, upTo float64
	for _, label := range s.labels {
		sum += weights[label]
	}
	for _, label := range s.labels {
		upTo += weights[label]
		s.upTo = append(s.upTo, upTo/sum)
	}
	for i := range s.places {
		// Fisher and Yates, with numbers that never change, as leads must fall the same
		// way for ever.
		j := int(mix(s.salt, uint64(i)) % uint64(i+1))
		s.places[i] = s.places[j]
		s.places[j] = uint16(i)
	}
	return s
}

func (s *split) label(seq int64) string {
	round, remainder := uint64(seq)/splitPlaces, uint64(seq)%splitPlaces
	within := float64(mix(s.salt, ^round^remainder<<40)>>11) / (1 << 53)
	x := (float64(s.places[remainder]) + within) / splitPlaces
	for i, upTo := range s.upTo {
		if x < upTo {
			return s.labels[i]
		}
	}
	last := len(s.labels) - 1
	for last > 0 && s.upTo[last] == s.upTo[last-1] { // it has no weight
		last--
	}
	return s.labels[last]
}

// mix returns 64 bits of which each depends on all of a and b: two rounds of SplitMix64.
func mix(a, b uint64) uint64 {
	for _, x := range [...]uint64{a, b} {
		b += x + 0x9e3779b97f4a7c15
		b = (b ^ b>>30) * 0xbf58476d1ce4e5b9
		b = (b ^ b>>27) * 0x94d049bb133111eb
		b ^= b >> 31
	}
	return b
}

func (c *checker) splitConfig(r *reader, location string, raw json.RawMessage, i int32) {
	weights, before := map[string]float64{}, len(r.faults)
	given := false
	r.object(location, raw, field{"weights", func(location string, raw json.RawMessage) {
		given = true
		sum := 0.0
		r.members(location, raw, func(label, location string, raw json.RawMessage) {
			weight := 0.0
			if raw[0] == 'n' {
				r.wrongType(location, "a number", raw)
			} else {
				r.number(&weight)(location, raw)
			}
			weights[label] = weight
			sum += weight
			switch {
			case label == "":
				r.fault(location, "the label of an edge must not be empty")
			case wordFault(label, MaxLabel) != "":
				r.fault(location, "label: %s", wordFault(label, MaxLabel))
			case r.broken[location]:
			case weight < 0 || weight > MaxWeight:
				r.fault(location, "is %v; must be from 0 to %d", weight, int(MaxWeight))
			}
		})
		switch {
		case len(r.faults) > before:
		case len(weights) == 0:
			r.fault(location, `must not be empty; write a weight for each edge, such as {"a": 50, "b": 50}`)
		case len(weights) > MaxWeights:
			r.fault(location, "has %d fields; at most %d are allowed", len(weights), MaxWeights)
		case sum <= 0:
			r.fault(location, "must not all be 0")
		}
	}})
	switch {
	case len(r.faults) > before:
	case !given:
		r.fault(location, `must have weights, such as {"a": 50, "b": 50}`)
	default:
		c.nodes[i].split = newSplit(c.d.Nodes[i].ID, weights)
	}
}

// Split returns the label of the edge that the lead with the number takes at the split
// node: always the same one. The shares of any 1,000 leads with consecutive numbers, or
// with numbers that are all the same distance of up to 1,000 apart, are within 1% of
// the weights. It is "" for a node of another type.
func (g *Graph) Split(i int32, seq int64) string {
	if s := g.nodes[i].split; s != nil {
		return s.label(seq)
	}
	return ""
}
