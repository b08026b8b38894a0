package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	healthPath = "/healthz"
	// The health check is at two places, so that what watches a process need not
	// know the base path.
	healthPattern   = "GET " + healthPath
	healthPatternV1 = "GET " + basePath + healthPath
	// healthAge is how long a finding counts: a crowd of checks costs one commit a
	// second.
	healthAge = time.Second
	// healthTimeout is how long a commit may take before the engine counts as
	// unable to.
	healthTimeout = 2 * time.Second
)

// health is what the last check has found.
type health struct {
	mu  sync.Mutex // held while checking, so that there is one check at a time
	at  time.Time
	err error
}

type healthBody struct {
	Status string `json:"status" enum:"ok"`
}

func (h *Handler) healthRoute() {
	register(h, operation{
		method: "GET", path: healthPath, id: "check-health", tag: tagService, open: true,
		summary: "Check that the engine is alive and able to commit", description: "Also at /healthz, outside the base path.",
		refused: map[int]string{http.StatusServiceUnavailable: "The engine is not running, or cannot commit."},
	}, h.checkHealth)
	h.mux.HandleFunc(healthPattern, func(w http.ResponseWriter, r *http.Request) {
		same := r.Clone(r.Context())
		same.URL.Path, same.URL.RawPath = basePath+healthPath, ""
		h.mux.ServeHTTP(w, same)
	})
}

func (h *Handler) checkHealth(ctx context.Context, _ *struct{}) (*output[healthBody], error) {
	if err := h.healthy(ctx); err != nil {
		return nil, newProblem(http.StatusServiceUnavailable, "the engine is not running, or cannot commit")
	}
	return reply(healthBody{"ok"}), nil
}

func (h *Handler) healthy(ctx context.Context) error {
	h.health.mu.Lock()
	defer h.health.mu.Unlock()
	now := h.config.Clock.Now()
	if age := now.Sub(h.health.at); age >= 0 && age < healthAge {
		return h.health.err
	}
	// Not ended by this client's leaving: what is found is for the next ones too.
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	h.health.err = h.eng.Health(within)
	h.health.at = now
	if h.health.err != nil {
		h.log.LogAttrs(ctx, slog.LevelError, "leadflow: unhealthy",
			slog.Any("error", h.health.err), slog.String("request_id", exchangeOf(ctx).id))
	}
	return h.health.err
}
