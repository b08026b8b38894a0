package sqlite

import (
	"container/heap"

	zombiezen "zombiezen.com/go/sqlite"
)

// source yields the numbers of rows that one range of an index has, in order. It
// reads them in chunks, so that one prepared statement serves any number of
// sources at the same time, and none of them reads much more than is wanted.
type source struct {
	text  string // its last two arguments are the number to go on behind, and how many are wanted
	args  []any
	after int64
	chunk int
	found []int64 // those that come next
	over  bool    // there are no others
}

// largestChunk bounds what is read before anybody else can have a turn.
const largestChunk = 4096

// fill makes sure that found has what comes next, if there is anything.
func (s *source) fill(conn *zombiezen.Conn) (err error) {
	if len(s.found) > 0 || s.over {
		return nil
	}
	args := append(s.args[:len(s.args):len(s.args)], s.after, s.chunk)
	if s.found, err = query(conn, scanSeq, s.text, args...); err != nil {
		return err
	}
	if n := len(s.found); n > 0 {
		s.after = s.found[n-1]
	}
	s.over = len(s.found) < s.chunk
	s.chunk = min(2*s.chunk, largestChunk)
	return nil
}

// merger yields the numbers of several sources in order, from the smallest on or,
// if they are in descending order, from the largest.
type merger struct {
	conn       *zombiezen.Conn
	descending bool
	sources    []*source // a heap, by the number that comes next
}

// merge begins to read the sources, of which about so many numbers are wanted.
func merge(conn *zombiezen.Conn, descending bool, wanted int, sources []*source) (*merger, error) {
	m := &merger{conn: conn, descending: descending}
	for _, s := range sources {
		s.chunk = min(8+wanted/len(sources), largestChunk)
		if err := s.fill(conn); err != nil {
			return nil, err
		}
		if len(s.found) > 0 {
			m.sources = append(m.sources, s)
		}
	}
	heap.Init(m)
	return m, nil
}

// next returns the next numbers, at most n of them; none at the end.
func (m *merger) next(n int) (seqs []int64, err error) {
	for len(seqs) < n && len(m.sources) > 0 {
		s := m.sources[0]
		seqs = append(seqs, s.found[0])
		s.found = s.found[1:]
		if err := s.fill(m.conn); err != nil {
			return nil, err
		}
		if len(s.found) > 0 {
			heap.Fix(m, 0)
		} else {
			heap.Pop(m)
		}
	}
	return seqs, nil
}

func (m *merger) Len() int { return len(m.sources) }

func (m *merger) Less(i, j int) bool {
	return m.descending != (m.sources[i].found[0] < m.sources[j].found[0])
}

func (m *merger) Swap(i, j int) { m.sources[i], m.sources[j] = m.sources[j], m.sources[i] }

func (m *merger) Push(any) { panic("sqlite: nothing is pushed") }

func (m *merger) Pop() any {
	last := len(m.sources) - 1
	s := m.sources[last]
	m.sources = m.sources[:last]
	return s
}
