package faulty_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/faulty"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var errDisk = errors.New("the disk is gone")

func TestAFaultHitsTheCallsThatItSays(t *testing.T) {
	for _, c := range []struct {
		fault faulty.Fault
		want  []int // of twelve calls
	}{
		{faulty.Fault{}, []int{1}},
		{faulty.Fault{Nth: 3}, []int{3}},
		{faulty.Fault{Times: 2}, []int{1, 2}},
		{faulty.Fault{Nth: 9, Times: faulty.Always}, []int{9, 10, 11, 12}},
		{faulty.Fault{Every: 5, Times: faulty.Always}, []int{1, 6, 11}},
		{faulty.Fault{Nth: 4, Every: 3, Times: 2}, []int{4, 7}},
		{faulty.Fault{Method: faulty.Load}, nil},
		{faulty.Fault{If: func(b *store.Batch) bool { return b.Ping }}, nil},
		{faulty.Fault{If: func(b *store.Batch) bool { return !b.Ping }, Nth: 2}, []int{2}},
	} {
		s := faulty.New(open(t, filepath.Join(t.TempDir(), "leads.db")))
		c.fault.Err = errDisk
		s.Inject(c.fault)
		var got []int
		for n := 1; n <= 12; n++ {
			switch _, err := s.Commit(t.Context(), &store.Batch{}); {
			case errors.Is(err, errDisk):
				got = append(got, n)
			case err != nil:
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v hits the calls %v, want %v", c.fault, got, c.want)
		}
		if n := s.Count(faulty.Commit); n != 12 {
			t.Errorf("%d commits were counted", n)
		}
	}
}

func TestEveryMethodCanFail(t *testing.T) {
	below := open(t, filepath.Join(t.TempDir(), "leads.db"))
	methods := reflect.TypeFor[store.Store]()
	for i := range methods.NumMethod() {
		m := methods.Method(i)
		s := faulty.New(below)
		s.Inject(faulty.Fault{Method: faulty.Method(m.Name), Err: errDisk})
		call := func() error {
			args := []reflect.Value{reflect.ValueOf(t.Context())}
			for n := 1; n < m.Type.NumIn(); n++ {
				args = append(args, reflect.Zero(m.Type.In(n)))
			}
			if m.Name == "Commit" {
				args[1] = reflect.ValueOf(&store.Batch{})
			}
			out := reflect.ValueOf(s).MethodByName(m.Name).Call(args)
			err, _ := out[len(out)-1].Interface().(error)
			return err
		}
		if err := call(); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", m.Name, err)
		}
		if err := call(); errors.Is(err, errDisk) {
			t.Errorf("%s fails twice", m.Name)
		}
	}
}

func TestACallWaitsAsLongAsItsContextLetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faulty.New(open(t, filepath.Join(t.TempDir(), "leads.db")))
		until := make(chan struct{})
		s.Inject(faulty.Fault{Delay: time.Minute, Until: until, Times: 2, Err: errDisk}, faulty.Fault{Err: errors.New("the second")})
		begun := time.Now()
		time.AfterFunc(time.Hour, func() { close(until) })
		if _, err := s.Workflows(t.Context()); !errors.Is(err, errDisk) || time.Since(begun) != time.Hour {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Workflows(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a context that ends: %v", err)
		}
		s.Inject(faulty.Fault{Times: faulty.Always, Err: errDisk})
		s.Clear()
		if _, err := s.Workflows(t.Context()); err != nil {
			t.Errorf("without faults: %v", err)
		}
	})
}

func ExampleStore_Inject() {
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	ctx := context.Background()
	file, err := sqlite.Open(ctx, filepath.Join(dir, "leads.db"), sqlite.Options{})
	check(err)
	defer file.Close()
	s := faulty.New(file)
	eng, err := engine.New(s, engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": engine.HandlerFunc(
			func(context.Context, engine.Attempt) (engine.Result, error) {
				return engine.Result{InFlight: true}, nil
			})},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	check(err)
	check(eng.Start(ctx))
	defer eng.Shutdown(ctx)
	wf, err := eng.CreateWorkflow(ctx, &workflow.Definition{
		Name: "Example", Entry: "call", Nodes: []workflow.Node{workflow.CallNode("call", nil)},
	})
	check(err)
	_, err = eng.ActivateWorkflow(ctx, wf.ID)
	check(err)

	s.Inject(faulty.Fault{Method: faulty.Commit, Err: errors.New("no space left on device")})
	_, err = eng.Enroll(ctx, wf.ID, lead.Contact{PhoneNumber: "+14155552671"})
	fmt.Println(err)
	l, err := eng.Enroll(ctx, wf.ID, lead.Contact{PhoneNumber: "+14155552671"})
	fmt.Println(l.PhoneNumber, err)

	// Whoever was asked to commit something stale decides anew, and nobody hears of
	// it.
	s.Inject(faulty.Fault{Method: faulty.Commit, Err: faulty.LeadConflict(l.ID.Seq())})
	_, err = eng.Remove(ctx, wf.ID, l.ID)
	fmt.Println(err)
	// Output:
	// engine: nothing was changed: no space left on device
	// +14155552671 <nil>
	// <nil>
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
