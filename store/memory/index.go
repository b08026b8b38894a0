package memory

import "iter"

// rowsBy is an index of leads, or of suppressions, by phone or by external id. Most keys
// have one row.
type rowsBy[K comparable] struct {
	latest map[K]int64     // the number of the row added last, by key
	before map[int64]int64 // that of the row added before it with the same key, by number
}

func newRowsBy[K comparable]() rowsBy[K] {
	return rowsBy[K]{make(map[K]int64), make(map[int64]int64)}
}

// rows yields the numbers of a key, the latest first.
func (r *rowsBy[K]) rows(key K) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for seq := r.latest[key]; seq != 0 && yield(seq); {
			seq = r.before[seq]
		}
	}
}

func (r *rowsBy[K]) add(key K, seq int64) {
	if older, ok := r.latest[key]; ok {
		r.before[seq] = older
	}
	r.latest[key] = seq
}

// remove removes a number that was added.
func (r *rowsBy[K]) remove(key K, seq int64) {
	older := r.before[seq]
	delete(r.before, seq)
	if r.latest[key] != seq {
		for newer := range r.rows(key) {
			if r.before[newer] == seq {
				put(r.before, newer, older)
				return
			}
		}
	}
	put(r.latest, key, older)
}

// put sets the key's value; 0 deletes the key.
func put[K comparable](m map[K]int64, key K, value int64) {
	if value == 0 {
		delete(m, key)
	} else {
		m[key] = value
	}
}
