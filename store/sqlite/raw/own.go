package raw

import "encoding/binary"

// Own writes to a file that package sqlite has made: the rows that the life of
// a lead comes to, with every column bound, one statement a row.
type Own struct {
	*conn
	enroll, contact, live, count, dead, history *stmt
	start, advance, finish                      *stmt // of a lead
	leads, steps                                int64 // written so far
	at                                          int64
}

const (
	set = `UPDATE leads SET version = ?, phase = ?, node = ?, visit = ?, visits = ?, attempt = ?, entered = ?,
		due = ?, started = ?, deadline = ?, last_step = ?, updated = ?, outcome = ?, extra = ?`
	where = ` WHERE seq = ? AND version = ?`
)

// OpenOwn opens a file that no Store has open, and which has no leads.
func OpenOwn(path string) (*Own, error) {
	c, err := open(path)
	if err != nil {
		return nil, err
	}
	o := &Own{
		conn: c,
		at:   moment,
		enroll: c.prepare(`
			INSERT INTO leads (version, phase, node, visit, visits, attempt, entered, due, started, deadline,
				last_step, updated, outcome, extra, wake, spot, seq, workflow)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
		contact: c.prepare(`
			INSERT INTO contacts (seq, id, phone, external_id, time_zone, metadata, enrolled)
			VALUES (?, ?, ?, ?, ?, ?, ?)`),
		live: c.prepare(`INSERT INTO live (workflow, phone, lead) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`),
		count: c.prepare(`
			INSERT INTO node_counts (workflow, node, state, n) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET n = n + excluded.n`),
		start:   c.prepare(set + `, spot = ?` + where),
		advance: c.prepare(set + where),
		finish:  c.prepare(set + `, wake = ?, spot = ?` + where),
		history: c.prepare(`
			INSERT INTO steps (seq, prev, lead, visit, node, kind, status, attempts, entered, due, started, exited,
				outcome, detail)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
		dead: c.prepare(`
			DELETE FROM live WHERE workflow = ? AND phone = (SELECT phone FROM contacts WHERE seq = ?) AND lead = ?`),
	}
	if c.err != nil {
		return nil, c.close()
	}
	return o, nil
}

// Close closes the file and returns the first error that there was.
func (o *Own) Close() error { return o.close() }

// States as package lead numbers them.
const (
	enrolled = 1 + iota
	inStep
	pendingRemoval
	removed
	completed
)

// spot is where package sqlite finds a lead in lists; the node is -1 while its
// handler runs.
func spot(node, state int64) int64 { return (node+1)<<3 | state }

func (o *Own) counted(node int64, state, n int) { o.count.exec(int64(1), node, int64(state), int64(n)) }

// Enroll commits n new leads of one workflow, which are due a day later.
func (o *Own) Enroll(n int) error {
	o.at++
	o.begin.exec()
	first := o.leads + 1
	for range n {
		o.leads++
		o.live.exec(int64(1), 14_155_000_000+o.leads, o.leads)
	}
	for seq := first; seq <= o.leads; seq++ {
		o.enroll.exec(int64(1), int64(1), int64(0), int64(1), int64(1), int64(0), o.at, o.at, int64(0), int64(0),
			int64(0), o.at, nil, nil, o.at+86_400_000, spot(0, enrolled), seq, int64(1))
	}
	for seq := first; seq <= o.leads; seq++ {
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], uint64(seq))
		o.contact.exec(seq, id[:], 14_155_000_000+seq, nil, nil, nil, o.at)
	}
	o.counted(0, enrolled, n)
	o.end.exec()
	return o.err
}

// update changes everything but the state and the places in indexes, which
// more is for.
func (o *Own) update(s *stmt, seq, version, visit, lastStep int64, extra any, more ...any) {
	args := append(make([]any, 0, 20), version+1, int64(2), visit-1, visit, visit, int64(1), o.at, o.at, o.at, o.at+3_600_000,
		lastStep, o.at, nil, extra)
	args = append(args, more...)
	s.exec(append(args, seq, version)...)
}

// past appends a finished step.
func (o *Own) past(seq, prev, visit int64) {
	o.steps++
	o.history.exec(o.steps, prev, seq, visit, visit-1, int64(0), int64(2), int64(1), o.at, o.at, o.at, o.at, "success", nil)
}

// Lives takes all leads through so many steps that succeed, n leads a commit:
// in turn 0 each starts its first step, in the next ones it ends a step and
// starts the next, and in the last it ends its last step and is completed.
func (o *Own) Lives(n, steps int) error {
	leads := int(o.leads)
	for turn := range steps + 1 {
		for first := 1; first <= leads; first += n {
			if err := o.turn(first, min(n, leads-first+1), turn, steps, leads); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *Own) turn(first, n, turn, steps, leads int) error {
	o.at++
	o.begin.exec()
	// The row of the step that the lead ended in a turn: a turn of all leads
	// appends one for each, in order.
	ended := func(turn, i int) int64 {
		if turn < 1 {
			return 0
		}
		return int64((turn-1)*leads + first + i)
	}
	for i := range n {
		seq, version, visit, last := int64(first+i), int64(turn+1), int64(turn+1), ended(turn, i)
		switch turn {
		case 0:
			o.update(o.start, seq, version, visit, last, nil, spot(-1, inStep))
		case steps:
			o.update(o.finish, seq, version, visit, last, nil, nil, spot(visit-1, completed))
			o.dead.exec(int64(1), seq, seq)
		default:
			o.update(o.advance, seq, version, visit, last, nil)
		}
	}
	if turn > 0 {
		for i := range n {
			o.past(int64(first+i), ended(turn-1, i), int64(turn))
		}
	}
	node := int64(turn) // where they are now
	switch turn {
	case 0:
		o.counted(0, enrolled, -n)
		o.counted(0, inStep, n)
	case steps:
		o.counted(node-1, inStep, -n)
		o.counted(node, completed, n)
	default:
		o.counted(node-1, inStep, -n)
		o.counted(node, inStep, n)
	}
	o.end.exec()
	return o.err
}

// Remove commits the removal of the leads first, first+1, …, n of them, which
// wait: each with its cancelled step.
func (o *Own) Remove(first, n int) error {
	o.at++
	o.begin.exec()
	request := []byte(`{"removal":{"requested":1700000000000}}`)
	for i := range n {
		seq := int64(first + i)
		o.update(o.finish, seq, 1, 1, o.steps+int64(i)+1, request, nil, spot(0, removed))
		o.dead.exec(int64(1), seq, seq)
	}
	for i := range n {
		o.past(int64(first+i), 0, 1)
	}
	o.counted(0, enrolled, -n)
	o.counted(0, removed, n)
	o.end.exec()
	return o.err
}
