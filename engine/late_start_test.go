package engine_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// providersRecord is when the provider was called.
type providersRecord struct {
	mu    sync.Mutex
	calls []time.Time
}

func (p *providersRecord) handle(context.Context, engine.Attempt) (engine.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, time.Now())
	return engine.Result{}, nil
}

func (p *providersRecord) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.calls)
}

// exceeds reports whether a span holds more than most calls.
func (p *providersRecord) exceeds(most int, per time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortFunc(p.calls, time.Time.Compare)
	for i := most; i < len(p.calls); i++ {
		if p.calls[i].Sub(p.calls[i-most]) <= per {
			return true
		}
	}
	return false
}

// lateContact is a store one of whose reads of contacts, after some others, takes until goOn
// is closed.
type lateContact struct {
	store.Store
	left atomic.Int32
	goOn chan struct{}
}

func (s *lateContact) Contacts(ctx context.Context, seqs []int64) ([]store.Contact, error) {
	if s.left.Add(-1) == 0 {
		<-s.goOn
	}
	return s.Store.Contacts(ctx, seqs)
}

// A handler may be called long after its attempt was committed, because the machine is busy,
// or the store is slow. A limit of starts holds by the provider's record all the same.
func TestPromise15AHandlerThatIsCalledLateCountsFromThenOn(t *testing.T) {
	const per = time.Minute
	for _, tt := range []struct {
		name    string
		says    workflow.Limit
		who     []string // called one after the other
		read    int32    // contacts that are read before that of the first call
		restart bool
	}{
		{"starts", workflow.Limit{Starts: 1, Per: workflow.Duration(per)}, []string{number(1), number(2), number(3)}, 0, false},
		{"starts, and a restart", workflow.Limit{Starts: 1, Per: workflow.Duration(per)}, []string{number(1), number(2), number(3)}, 0, true},
		{"attempts to a person", workflow.Limit{PerContact: 1, Per: workflow.Duration(per)}, []string{phone, phone}, 2, false},
		{"attempts to a person, and a restart", workflow.Limit{PerContact: 1, Per: workflow.Duration(per)}, []string{phone, phone}, 2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				record := &providersRecord{}
				w := newWorld(t, record.handle)
				flow := func() lead.WorkflowID {
					return w.activate([]workflow.Node{
						workflow.Wait("wait", time.Hour), workflow.CallNode("call", nil), workflow.End("done", workflow.Converted),
					}, workflow.To("wait", "call"), workflow.On("call", "default", "done"))
				}
				if err := w.eng.SetLimits(background, []workflow.Limit{tt.says}); err != nil {
					t.Fatal(err)
				}
				for _, who := range tt.who {
					w.enroll(flow(), who)
				}
				if err := w.eng.Shutdown(background); err != nil {
					t.Fatal(err)
				}
				slow := &lateContact{Store: w.store, goOn: make(chan struct{})}
				var err error
				if w.eng, err = engine.New(slow, w.config); err != nil {
					t.Fatal(err)
				}
				if err := w.eng.Start(background); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				slow.left.Store(1 + tt.read)
				time.Sleep(time.Hour) // the first attempt is committed
				synctest.Wait()
				time.Sleep(50 * time.Second)
				close(slow.goOn) // and its handler is called
				synctest.Wait()
				if n := record.count(); n != 1 {
					t.Fatalf("%d calls, want the late one", n)
				}
				if tt.restart { // which must know it, too
					if err := w.eng.Shutdown(background); err != nil {
						t.Fatal(err)
					}
					if w.eng, err = engine.New(slow, w.config); err == nil {
						err = w.eng.Start(background)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(per - time.Millisecond)
				synctest.Wait()
				if n := record.count(); n != 1 {
					t.Errorf("%d calls within %s", n, per)
				}
				time.Sleep(10 * per)
				synctest.Wait()
				if record.exceeds(1, per) || record.count() != len(tt.who) {
					t.Errorf("the provider was called at %v", record.calls)
				}
			})
		})
	}
}
