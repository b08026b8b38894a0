package storetest

import (
	"errors"
	"sync"
	"testing"

	"github.com/leadflow-go/leadflow/store"
)

// SharedFactory makes the shared stores under test. Its function ends the test when it
// fails.
type SharedFactory struct {
	// Open makes a new, empty database and returns two Stores on it, as two engines have
	// them. They end with the test.
	Open func(t *testing.T) [2]store.Shared
}

// RunShared runs the part of the suite that is about engines that share a store. Run is to
// pass as well.
func RunShared(t *testing.T, f SharedFactory) {
	for _, rule := range []struct {
		name string
		test func(*sharing)
	}{
		{"the use of limits adds up over engines", limitsAddUp},
		{"a batch that exceeds a limit leaves nothing", limitLeavesNothing},
		{"what is left out of a batch uses no limit", limitsOfWhatIsLeftOut},
		{"attempts in flight never exceed a limit in a race", limitRace},
		{"starts within a span never exceed a limit in a race", spanRace},
		{"a limit begins with what is in flight", limitBase},
		{"a limit can be forgotten by those who change what is in force", limitsForgotten},
		{"a use of a limit that makes no sense is refused", limitFaults},
	} {
		t.Run(rule.name, func(t *testing.T) {
			s := &sharing{T: t}
			for i, handle := range f.Open(t) {
				e := &sharer{suite: &suite{T: t, Store: handle, ctx: t.Context(), phones: int64(i) * 1000}, shared: handle}
				e.sync()
				s.engines[i] = e
			}
			rule.test(s)
		})
	}
}

// sharing is a test and its two engines.
type sharing struct {
	*testing.T
	engines [2]*sharer
}

// sharer is an engine.
type sharer struct {
	*suite
	shared store.Shared
	mu     sync.Mutex // one commit at a time
	place  store.Membership
}

// sync has the engine take note of the others' changes.
func (e *sharer) sync() {
	e.Helper()
	var err error
	e.place, err = e.shared.Sync(e.ctx, true, e.place.Flows)
	e.check(err)
}

// decide commits a batch as the engine.
func (e *sharer) decide(b store.Batch) (store.Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b.Share.Engine, b.Share.Flows = e.place.Engine, e.place.Flows
	return e.Commit(e.ctx, &b)
}

// use commits a batch that only uses limits.
func (e *sharer) use(list ...store.LimitUse) error {
	_, err := e.decide(store.Batch{Share: store.Share{Limits: list}})
	return err
}

// uses is use without an error.
func (e *sharer) uses(list ...store.LimitUse) {
	e.Helper()
	e.check(e.use(list...))
}

// exceeds has the batch refused because of the limit.
func (e *sharer) exceeds(b store.Batch, key string) {
	e.Helper()
	_, err := e.decide(b)
	var limit *store.LimitError
	if !errors.As(err, &limit) || !errors.Is(err, store.ErrLimit) || limit.Key != key {
		e.Fatalf("got error %v, want that limit %q is used up", err, key)
	}
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrConflict) {
		e.Errorf("the error %v matches others", err)
	}
}

func using(list ...store.LimitUse) store.Batch { return store.Batch{Share: store.Share{Limits: list}} }

// limit returns what all use of a limit; zero if there is no account.
func (e *sharer) limit(key string) store.LimitState {
	e.Helper()
	states, err := e.shared.LimitUse(e.ctx, []string{key})
	e.check(err)
	if len(states) == 0 {
		return store.LimitState{}
	}
	if len(states) > 1 || states[0].Key != key {
		e.Fatalf("asked for limit %q, got %+v", key, states)
	}
	return states[0]
}
