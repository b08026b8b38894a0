package run

import (
	"context"
	"sync"
)

// inbox holds what the loop has to take up: requests of callers, and results from the
// goroutines that called handlers and hooks.
type inbox struct {
	// signal holds a token when there may be something to do.
	signal chan struct{}

	mu       sync.Mutex // guards what follows
	open     bool
	draining bool
	patience int // how many entries must have come in to wake the loop
	requests []*request
	results  []result
}

// request asks the loop to decide something. decide runs on the loop's goroutine. It
// may run again if the store refuses the batch as stale, so it changes only the batch
// and variables that it sets again each time. Its error is returned to the caller when
// the batch is on disk, because the decision may depend on what the batch changes.
type request struct {
	decide  func(l *loop) error
	answer  chan error // has room for one
	refusal error
	leads   []int64 // that were decided on, where others use the store, too
	// once: it is not decided again when the store has refused its batch, because what it
	// rests on has changed; whoever asks begins anew.
	once bool
}

// result tells the loop that a goroutine of the engine has ended.
type result interface {
	lead() int64
	settle(l *loop) error
}

func newInbox() *inbox { return &inbox{signal: make(chan struct{}, 1)} }

// wake makes the loop look at the time and its inbox.
func (b *inbox) wake() {
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

func (b *inbox) ask(r *request) bool {
	b.mu.Lock()
	open := b.open
	if open {
		b.requests = append(b.requests, r)
	}
	enough := b.enough()
	b.mu.Unlock()
	if enough {
		b.wake()
	}
	return open
}

func (b *inbox) tell(r result) {
	b.mu.Lock()
	if b.open {
		b.results = append(b.results, r)
	}
	enough := b.enough()
	b.mu.Unlock()
	if enough {
		b.wake()
	}
}

func (b *inbox) enough() bool { return len(b.requests)+len(b.results) >= b.patience }

// expect sets how many entries must have come in to wake the loop.
func (b *inbox) expect(n int) {
	b.mu.Lock()
	b.patience = n
	enough := b.enough()
	b.mu.Unlock()
	if enough {
		b.wake()
	}
}

func (b *inbox) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = true
}

// drain tells the loop to start nothing new.
func (b *inbox) drain() {
	b.mu.Lock()
	b.draining = true
	b.mu.Unlock()
	b.wake()
}

// drains reports whether drain was called.
func (b *inbox) drains() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.draining
}

// take appends what has come in to the loop's own lists.
func (b *inbox) take(l *loop) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.draining = b.draining
	l.requests = append(l.requests, b.requests...)
	l.results = append(l.results, b.results...)
	clear(b.requests)
	clear(b.results)
	b.requests, b.results = b.requests[:0], b.results[:0]
}

// close refuses what comes from now on and returns the requests not yet taken.
func (b *inbox) close() []*request {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = false
	left := b.requests
	b.requests, b.results = nil, nil
	return left
}

// do has the loop run decide, and returns its error, or nil when the decision is on
// disk (promise 1). If ctx ends first, the decision may still be carried out.
//
// An engine that may be cut off from the others decides nothing, because it could not
// find out what they have done.
func (r *Runner) do(ctx context.Context, decide func(l *loop) error) error {
	if err := r.Current(); err != nil {
		return err
	}
	return r.decide(ctx, decide)
}

func (r *Runner) decide(ctx context.Context, decide func(l *loop) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.pose(ctx, &request{decide: decide, answer: make(chan error, 1)})
}

// pose has the loop decide q.
func (r *Runner) pose(ctx context.Context, q *request) error {
	if !r.inbox.ask(q) {
		return ErrNotRunning
	}
	return r.answer(ctx, q)
}

// answer waits until the loop has decided q.
func (r *Runner) answer(ctx context.Context, q *request) error {
	if r.stepper != nil {
		if err := r.stepper.decide(q); err != nil {
			return err
		}
	}
	select {
	case err := <-q.answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
