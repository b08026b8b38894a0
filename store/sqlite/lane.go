package sqlite

import (
	"context"
	"errors"
	"runtime"

	zombiezen "zombiezen.com/go/sqlite"
)

// lane is connections that only read, of the kind that writer describes, for
// reads of one sort: so many of them run at the same time, and the others wait
// in the order in which they came. Whoever reads takes a connection out of the
// channel and puts it back.
type lane chan *zombiezen.Conn

func openLane(path string, n int) (_ lane, err error) {
	l := make(lane, n)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	for range n {
		conn, err := openConn(path, "ro", zombiezen.OpenReadOnly, readerPragmas)
		if err != nil {
			return nil, err
		}
		l <- conn
	}
	return l, nil
}

// close closes the connections, all of which are in the lane.
func (l lane) close() error {
	var errs []error
	for len(l) > 0 {
		errs = append(errs, (<-l).Close())
	}
	return errors.Join(errs...)
}

// use has f read by a connection, which is interrupted when ctx ends.
func (l lane) use(ctx context.Context, f func(*zombiezen.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var conn *zombiezen.Conn
	select {
	case conn = <-l:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() {
		// Whoever waits for the connection would go on in this goroutine's time, and so
		// on, and an engine's loop that waits for a processor would not get one.
		runtime.Gosched()
		l <- conn
	}()
	if ctx.Done() != nil {
		conn.SetInterrupt(ctx.Done())
		defer conn.SetInterrupt(nil)
	}
	err := f(conn)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// lanes are all of a store.
type lanes struct {
	loop   lane // an engine's loop: nobody else is in its way
	facts  lane // what an engine reads beside its loop
	counts lane // a few counts, for anybody
	people lane // suppressions and leads of a person, or a page of them, for anybody
	point  lane // one lead, and what is as quick to read
	long   lane // lists, which may take long
}

// openLanes leaves half of the processors to others when every long read that
// may run does.
func openLanes(path string, processors int) (l lanes, err error) {
	for _, open := range []struct {
		lane *lane
		n    int
	}{{&l.loop, 1}, {&l.facts, 1}, {&l.counts, 2}, {&l.people, 2}, {&l.point, max(2, processors)}, {&l.long, max(1, processors/2)}} {
		if *open.lane, err = openLane(path, open.n); err != nil {
			return lanes{}, errors.Join(err, l.close())
		}
	}
	return l, nil
}

func (l *lanes) close() error {
	return errors.Join(l.loop.close(), l.facts.close(), l.counts.close(), l.people.close(), l.point.close(), l.long.close())
}
