package engine

import "github.com/leadflow-go/leadflow/engine/internal/run"

// ErrNotRunning: the engine was not started, or has been shut down. The error's text
// says which.
var ErrNotRunning = run.ErrNotRunning

// idleError matches ErrNotRunning, and says why the engine does not run.
type idleError struct{ text string }

func (e *idleError) Error() string { return e.text }

func (e *idleError) Is(target error) bool { return target == ErrNotRunning }

var (
	errNotStarted = &idleError{"engine: not started; call Start first"}
	errShutDown   = &idleError{"engine: shut down; make a new engine with New, on the same store"}
)

// why returns an error of the loop, and one that says why in place of ErrNotRunning.
func (e *Engine) why(err error) error {
	switch {
	case err != ErrNotRunning:
		return err
	case e.run.Started():
		return errShutDown
	}
	return errNotStarted
}
