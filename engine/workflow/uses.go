package workflow

import "github.com/leadflow-go/leadflow/engine/workflow/internal/expression"

// uses is what the expression or the conditions of a node read.
type uses struct {
	steps   bool // steps.*
	contact bool // lead.* or metadata.*
}

func usesOf(p *expression.Program, conditions []condition) uses {
	var u uses
	if p != nil {
		u = uses{steps: p.AllSteps || len(p.Steps) > 0, contact: p.Contact}
	}
	for i := range conditions {
		steps := conditions[i].field.root == rootSteps
		u.steps = u.steps || steps
		u.contact = u.contact || !steps
	}
	return u
}
