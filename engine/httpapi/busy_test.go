package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/memory"
)

// lockedStore is one that another program can have locked.
type lockedStore struct {
	store.Store
	locked atomic.Bool
}

func (s *lockedStore) err() error {
	if s.locked.Load() {
		return fmt.Errorf("%w: for now", store.ErrBusy)
	}
	return nil
}

func (s *lockedStore) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	if err := s.err(); err != nil {
		return store.Result{}, err
	}
	return s.Store.Commit(ctx, b)
}

func (s *lockedStore) Counts(ctx context.Context, workflow int64) (map[lead.State]int64, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Store.Counts(ctx, workflow)
}

func TestWhileAnotherProgramHasTheStoreTheAnswerIs503(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	st := &lockedStore{Store: memory.New()}
	eng, err := engine.New(st, engine.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := eng.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer eng.Shutdown(context.Background())
	h, err := httpapi.New(eng, httpapi.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, body string) *http.Response {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, "/v1/workflows", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(w, r)
		return w.Result()
	}
	if res := ask("POST", onlyWait); res.StatusCode != 201 {
		t.Fatalf("status %d", res.StatusCode)
	}
	st.locked.Store(true)
	for method, body := range map[string]string{"GET": "", "POST": onlyWait} {
		res := ask(method, body)
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode != 503 || res.Header.Get("Retry-After") != "5" || !strings.Contains(string(text), "another program has the database locked") {
			t.Errorf("%s: %d, Retry-After %q, %s", method, res.StatusCode, res.Header.Get("Retry-After"), text)
		}
	}
	st.locked.Store(false)
	if res := ask("GET", ""); res.StatusCode != 200 {
		t.Errorf("status %d after it", res.StatusCode)
	}
}
