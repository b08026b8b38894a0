package engine

import "github.com/leadflow-go/leadflow/engine/internal/run"

// ErrNotRunning: the engine was not started, or has been shut down.
var ErrNotRunning = run.ErrNotRunning
