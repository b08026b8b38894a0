package memory

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
)

// pack keeps byte slices (entries) by number, for data that is written once or twice and
// seldom read. An entry takes its bytes and five more, a third of a struct of the same
// fields, and has no pointer for the garbage collector to follow. Numbers should be
// dense; a number without an entry takes four bytes, or none if its whole run is empty.
type pack struct {
	runs []packRun
	// large has the entries that are too long for a run.
	large map[int64][]byte
}

const (
	packRunLen   = 256
	packEntryMax = 1 << 16 // so that places in a run fit into 32 bits
)

// packRun has the entries of packRunLen numbers that follow each other.
type packRun struct {
	at   *[packRunLen]uint32 // where in data an entry begins, plus one; 0 for none
	data []byte              // entries: the length, then the bytes
	used int                 // bytes of data that entries use
	n    int                 // entries
}

// elsewhere marks an entry that is too long for the run.
const elsewhere = 1<<32 - 1

// slot returns where the place of the number's entry is stored, or nil.
func (p *pack) slot(seq int64) (*packRun, *uint32) {
	if i := uint64(seq) / packRunLen; i < uint64(len(p.runs)) && p.runs[i].at != nil {
		return &p.runs[i], &p.runs[i].at[seq%packRunLen]
	}
	return nil, nil
}

// get returns the number's entry, or nil. It must not be changed, and is valid until the
// pack changes.
func (p *pack) get(seq int64) []byte {
	run, at := p.slot(seq)
	if run == nil || *at == 0 {
		return nil
	}
	if *at == elsewhere {
		return p.large[seq]
	}
	entry, _ := run.entry(*at)
	return entry
}

// entry returns the entry at a place, and how many bytes it takes.
func (r *packRun) entry(at uint32) (entry []byte, size int) {
	data := r.data[at-1:]
	n, prefix := binary.Uvarint(data)
	size = prefix + int(n)
	return data[prefix:size:size], size
}

// after yields the entries with larger numbers, in order.
func (p *pack) after(seq int64) iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		first := uint64(max(seq, 0)) + 1
		for i := first / packRunLen; i < uint64(len(p.runs)); i++ {
			if p.runs[i].at == nil {
				continue
			}
			for n := max(first, i*packRunLen); n < (i+1)*packRunLen; n++ {
				if entry := p.get(int64(n)); entry != nil && !yield(int64(n), entry) {
					return
				}
			}
		}
	}
}

// put sets the number's entry to a copy of entry, which must not be empty.
func (p *pack) put(seq int64, entry []byte) {
	p.drop(seq)
	i := seq / packRunLen
	for int64(len(p.runs)) <= i {
		p.runs = append(p.runs, packRun{})
	}
	run := &p.runs[i]
	if run.at == nil {
		run.at = new([packRunLen]uint32)
		if i > 0 { // make room for as much as the run before has, so that it seldom grows
			run.data = slices.Grow(run.data, p.runs[i-1].used*33/32)
		}
	}
	run.n++
	if len(entry) > packEntryMax {
		if p.large == nil {
			p.large = make(map[int64][]byte)
		}
		p.large[seq], run.at[seq%packRunLen] = bytes.Clone(entry), elsewhere
		return
	}
	run.append(seq%packRunLen, entry)
}

func (r *packRun) append(slot int64, entry []byte) {
	start := len(r.data)
	r.at[slot] = uint32(start) + 1
	r.data = binary.AppendUvarint(r.data, uint64(len(entry)))
	r.data = append(r.data, entry...)
	r.used += len(r.data) - start
}

// drop removes the number's entry, if it has one.
func (p *pack) drop(seq int64) {
	run, at := p.slot(seq)
	if run == nil || *at == 0 {
		return
	}
	if *at == elsewhere {
		delete(p.large, seq)
	} else {
		_, size := run.entry(*at)
		run.used -= size
	}
	*at = 0
	if run.n--; run.n == 0 {
		*run = packRun{}
	} else if len(run.data)-run.used > run.used/4+packRunLen {
		run.tidy()
	}
}

// tidy frees the space of dropped entries.
func (r *packRun) tidy() {
	tidied := packRun{at: r.at, data: make([]byte, 0, r.used), n: r.n}
	for slot, at := range r.at {
		if at != 0 && at != elsewhere {
			entry, _ := r.entry(at)
			tidied.append(int64(slot), entry)
		}
	}
	*r = tidied
}

// before yields the entries with smaller numbers, in descending order.
func (p *pack) before(seq int64) iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		last := min(seq, int64(len(p.runs))*packRunLen) - 1
		for i := last / packRunLen; last >= 0 && i >= 0; i-- {
			if p.runs[i].at == nil {
				continue
			}
			for n := min(last, (i+1)*packRunLen-1); n >= i*packRunLen; n-- {
				if entry := p.get(n); entry != nil && !yield(n, entry) {
					return
				}
			}
		}
	}
}

// among yields the entries that exist among seqs, in order or, if newest is set, in
// descending order.
func (p *pack) among(seqs []int64, newest bool) iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		seqs = slices.Compact(slices.Sorted(slices.Values(seqs)))
		if newest {
			slices.Reverse(seqs)
		}
		for _, seq := range seqs {
			if entry := p.get(seq); entry != nil && !yield(seq, entry) {
				return
			}
		}
	}
}
