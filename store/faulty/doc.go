// Package faulty is a store whose calls fail, or take long, when a test says
// so. It stands before any other store, and is for tests of programs that use an
// engine as much as for the engine's own: what does mine do when the disk is full
// for a minute, or a commit takes ten seconds?
//
//	s := faulty.New(real)
//	eng, err := engine.New(s, config)
//	…
//	s.Inject(faulty.Fault{Method: faulty.Commit, Nth: 3, Err: errors.New("disk full")})
//	s.Inject(faulty.Fault{Method: faulty.Commit, Every: 10, Times: faulty.Always, Delay: time.Second})
//
// A call that fails has not reached the store below, so nothing of it has
// happened, as the contract of package store asks.
//
// A delay is waited for in real time, also when the engine is given a virtual
// clock; under testing/synctest, in the time of the bubble. To hold a call up
// until something has happened, use Until.
package faulty
