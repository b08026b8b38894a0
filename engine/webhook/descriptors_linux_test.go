package webhook_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// fewDescriptors has the test binary be the process of
// TestOutOfDescriptorsNobodyFails, and ask the URL that it is.
const fewDescriptors = "LEADFLOW_TEST_FEW_DESCRIPTORS"

// A process that is out of file descriptors calls everybody later.
func TestOutOfDescriptorsNobodyFails(t *testing.T) {
	if url := os.Getenv(fewDescriptors); url != "" { // the process
		callHundred(t, url)
		return
	}
	var asked callers
	// The first requests are answered together, so that they hold their connections
	// while others need one.
	var arrived sync.WaitGroup
	arrived.Add(10)
	var first atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first.Add(1) <= 10 {
			arrived.Done()
		}
		arrived.Wait()
		asked.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOutOfDescriptorsNobodyFails$", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), fewDescriptors+"="+server.URL)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	asked.expect(t, 100)
}

// callHundred calls a hundred people at once with 40 descriptors.
func callHundred(t *testing.T, url string) {
	h, err := webhook.New(webhook.Config{CallbackURL: func(lead.StepID) string { return "http://leads.test/" }})
	if err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(background, filepath.Join(t.TempDir(), "leads.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.New(st, engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": h},
		Clock:    fastClock{time.Now(), 50},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan lead.Lead, 100)
	eng.Listen(func(e engine.Event) {
		if e.Lead.State.Final() && e.Type == engine.EventCompleted {
			over <- e.Lead
		}
	})
	if err := eng.Start(background); err != nil {
		t.Fatal(err)
	}
	wf, err := eng.CreateWorkflow(background, callAt(url, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eng.ActivateWorkflow(background, wf.ID); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 46, Max: 46}); err != nil {
		t.Fatal(err)
	}
	if _, err := eng.EnrollAll(background, wf.ID, enginetest.Contacts(100)); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		l := <-over
		if steps, err := eng.History(background, wf.ID, l.ID); err != nil || steps[0].Outcome != "completed" || len(steps[0].Attempts) != 1 {
			t.Errorf("%v, %+v", err, steps)
		}
	}
	if eng.Stats().NotMade == 0 {
		t.Error("there were descriptors for all")
	}
	if err := errors.Join(eng.Shutdown(background), st.Close()); err != nil {
		t.Error(err)
	}
}
