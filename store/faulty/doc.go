// Package faulty wraps a store and makes calls fail, or take long, when a test says so.
// Use it to test what your program, or the engine, does when the disk is full for a
// minute or a commit takes ten seconds.
//
//	s := faulty.New(real)
//	eng, err := engine.New(s, config)
//	…
//	s.Inject(faulty.Fault{Method: faulty.Commit, Nth: 3, Err: errors.New("disk full")})
//	s.Inject(faulty.Fault{Method: faulty.Commit, Every: 10, Times: faulty.Always, Delay: time.Second})
//
// A call that fails does not reach the wrapped store, so it has changed nothing, as the
// contract of package store requires.
//
// A delay is in real time, even if the engine has a virtual clock; under
// testing/synctest it is in the bubble's time. To delay a call until something has
// happened, use Fault.Until.
package faulty
