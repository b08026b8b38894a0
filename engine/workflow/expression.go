package workflow

import (
	"iter"
	"maps"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
	"github.com/leadflow-go/leadflow/lead"
)

// Env is what expressions and conditions see of one lead at one moment. Its maps are
// not modified. Decode metadata and data with [encoding/json.Decoder.UseNumber], so
// that integers keep all their digits.
type Env struct {
	// Contact is the person; lead.* and metadata.* read it.
	Contact lead.Contact
	// Steps holds the latest step of each node that the lead has visited, by
	// node id; steps.* reads it. A node that is not in it has the zero result.
	Steps map[string]StepResult
	// Now is what now() returns, in UTC.
	Now time.Time
}

// StepResult is the result of a node's latest step.
type StepResult struct {
	Outcome   string         // "" while there is none
	Data      map[string]any // what the handler or the callback returned
	Status    string         // the step's status, such as "completed" or "failed"
	Attempts  int            // how many attempts were made
	CallID    string         // of the last attempt
	Error     string         // why a failed step failed
	EnteredAt time.Time      // when the lead arrived at the node
	ExitedAt  time.Time      // when the step ended
}

// ErrBudget is wrapped by an error of [Graph.Test] or [Graph.Until] when the
// evaluation needed more than its budget; see the package doc.
var ErrBudget = expression.ErrBudget

// evaluate runs a program.
func evaluate(p *expression.Program, env *Env) (any, error) {
	scope := expression.Scope{}
	if env != nil {
		scope = expression.Scope{
			PhoneNumber: env.Contact.PhoneNumber,
			ExternalID:  env.Contact.ExternalID,
			TimeZone:    env.Contact.TimeZone,
			Metadata:    env.Contact.Metadata,
			Steps:       steps(env.Steps),
			Now:         env.Now.UTC(),
		}
	}
	return p.Run(&scope)
}

// steps is Env.Steps as expressions read it.
type steps map[string]StepResult

func (s steps) Step(id string) (expression.Step, bool) {
	step, ok := s[id]
	return expression.Step(step), ok
}

func (s steps) Len() int { return len(s) }

func (s steps) IDs() iter.Seq[string] { return maps.Keys(s) }
