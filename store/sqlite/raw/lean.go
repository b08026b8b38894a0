package raw

import "math/rand/v2"

// moment is a time in milliseconds, of the size that real ones have.
const moment = 1_700_000_000_000

// Lean is a file with two tables of six integers each and no other index.
type Lean struct {
	*conn
	update, insert *stmt
	n              int64 // commits
	steps          int64
}

// NewLean makes a file for that many leads at path.
func NewLean(path string, leads int) (*Lean, error) {
	c, err := open(path)
	if err != nil {
		return nil, err
	}
	c.prepare(`CREATE TABLE leads (seq INTEGER PRIMARY KEY, a, b, c, d, e)`).exec()
	c.prepare(`CREATE TABLE steps (seq INTEGER PRIMARY KEY, a, b, c, d, e)`).exec()
	c.prepare(`
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO leads SELECT i, 1, 1, 1, 1700000000000, 1700000000000 FROM n`).exec(int64(leads))
	l := &Lean{
		conn:   c,
		update: c.prepare(`UPDATE leads SET a = ?, b = ?, c = ?, d = ?, e = ? WHERE seq = ?`),
		insert: c.prepare(`INSERT INTO steps (seq, a, b, c, d, e) VALUES (?, ?, ?, ?, ?, ?)`),
	}
	if c.err != nil {
		return nil, c.close()
	}
	return l, nil
}

// Close closes the file and returns the first error that there was.
func (l *Lean) Close() error { return l.close() }

// Row commits the change of one row: what one commit costs at least.
func (l *Lean) Row(seq int) error {
	l.n++
	l.begin.exec()
	l.update.exec(l.n, l.n, int64(3), moment+l.n, moment+l.n+60_000, int64(seq))
	l.end.exec()
	return l.err
}

// Steps commits a step of each of the leads first, first+1, …, n of them.
func (l *Lean) Steps(first, n int) error {
	return l.commit(n, func(i int) int64 { return int64(first + i) })
}

// RandomSteps commits a step of each of n leads out of that many, in the order
// in which r draws them.
func (l *Lean) RandomSteps(r *rand.Rand, leads, n int) error {
	return l.commit(n, func(int) int64 { return 1 + r.Int64N(int64(leads)) })
}

func (l *Lean) commit(n int, seq func(i int) int64) error {
	l.n++
	l.begin.exec()
	at := moment + l.n
	seqs := make([]int64, n)
	for i := range seqs {
		seqs[i] = seq(i)
		l.update.exec(l.n, l.n, int64(3), at, at+60_000, seqs[i])
	}
	for _, seq := range seqs {
		l.steps++
		l.insert.exec(l.steps, seq, l.n, int64(3), at, at+60_000)
	}
	l.end.exec()
	return l.err
}
