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
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// awayStore is one that cannot be used while fault has an error.
type awayStore struct {
	store.Store
	fault atomic.Pointer[error]
}

func (s *awayStore) err() error {
	if err := s.fault.Load(); err != nil {
		return fmt.Errorf("%w: for now", *err)
	}
	return nil
}

func (s *awayStore) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	if err := s.err(); err != nil {
		return store.Result{}, err
	}
	return s.Store.Commit(ctx, b)
}

func (s *awayStore) Counts(ctx context.Context, workflow int64) (map[lead.State]int64, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Store.Counts(ctx, workflow)
}

func TestWhileTheStoreCannotBeUsedTheAnswerIs503(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	st := &awayStore{Store: memory.New()}
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
	for fault, says := range map[error]string{
		store.ErrBusy: "another program has the database locked", store.ErrUnavailable: "the database cannot be used", sqlite.ErrFileGone: "the database cannot be used",
	} {
		st.fault.Store(&fault)
		for method, body := range map[string]string{"GET": "", "POST": onlyWait} {
			res := ask(method, body)
			text, _ := io.ReadAll(res.Body)
			if res.StatusCode != 503 || res.Header.Get("Retry-After") != "5" || !strings.Contains(string(text), says) {
				t.Errorf("%v: %s: %d, Retry-After %q, %s", fault, method, res.StatusCode, res.Header.Get("Retry-After"), text)
			}
		}
	}
	st.fault.Store(nil)
	if res := ask("GET", ""); res.StatusCode != 200 {
		t.Errorf("status %d after it", res.StatusCode)
	}
}
