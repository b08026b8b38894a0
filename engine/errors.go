package engine

import (
	"errors"
	"fmt"

	"github.com/leadflow-go/leadflow/lead"
)

// ErrNotRunning: the engine was not started, or has been shut down.
var ErrNotRunning = errors.New("engine: not running; call Start first")

func workflowNotFound(id lead.WorkflowID) error {
	return &lead.NotFoundError{Kind: "workflow", Name: id.String()}
}

func leadNotFound(workflow lead.WorkflowID, id lead.ID) error {
	return &lead.NotFoundError{Kind: "lead", Name: id.String(), In: workflow.String()}
}

func stepNotFound(id lead.StepID) error {
	return &lead.NotFoundError{Kind: "step", Name: id.String()}
}

func readFailed(err error) error { return fmt.Errorf("engine: read: %w", err) }
