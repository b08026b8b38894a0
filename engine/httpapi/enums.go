package httpapi

import (
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// The enumerations of the wire. Each is a schema of its own in the document, so that
// a generated client has one type for it.
type (
	leadStatus     string
	workflowStatus string
	stepStatus     string
	callStatus     string
	nodeType       string
	unknownPolicy  string
	weekday        string
	conflictCode   string
	signalEffect   string
	waitReason     string
)

// callStatuses are those of a step that a call can have.
var callStatuses = []lead.StepStatus{lead.StepInProgress, lead.StepCompleted, lead.StepFailed}

// Schema names the schema.
func (leadStatus) Schema(r huma.Registry) *huma.Schema {
	return enumSchema(r, "LeadStatus", "how far a lead has come; removed and completed are final", lead.States())
}

// Schema names the schema.
func (workflowStatus) Schema(r huma.Registry) *huma.Schema {
	return enumSchema(r, "WorkflowStatus", "completed and cancelled are final", []lead.WorkflowStatus{
		lead.WorkflowDraft, lead.WorkflowActive, lead.WorkflowPaused, lead.WorkflowCompleted, lead.WorkflowCancelled,
	})
}

// Schema names the schema.
func (stepStatus) Schema(r huma.Registry) *huma.Schema {
	return enumSchema(r, "StepStatus", "of a step or an attempt; the last three are final", []lead.StepStatus{
		lead.StepWaiting, lead.StepInProgress, lead.StepRetrying, lead.StepCompleted, lead.StepFailed, lead.StepCancelled,
	})
}

// Schema names the schema.
func (callStatus) Schema(r huma.Registry) *huma.Schema {
	return enumSchema(r, "CallStatus", "how far a call has come", callStatuses)
}

// Schema names the schema.
func (nodeType) Schema(r huma.Registry) *huma.Schema {
	return enumSchema(r, "NodeType", "what a node does", []name{
		"voice_call", "message", "application", "time", "conditional", "split", "converted", "dropped",
	})
}

// Schema names the schema.
func (unknownPolicy) Schema(r huma.Registry) *huma.Schema {
	return enumSchema(r, "UnknownPolicy", "what happens to an attempt when nobody knows what became of it: it is made again, or its step fails",
		[]name{name(workflow.RedeliverUnknown), name(workflow.FailUnknown)})
}

// Schema names the schema.
func (weekday) Schema(r huma.Registry) *huma.Schema {
	return enumSchema(r, "Weekday", "a day of the week", []name{"mon", "tue", "wed", "thu", "fri", "sat", "sun"})
}

// Schema names the schema.
func (conflictCode) Schema(r huma.Registry) *huma.Schema {
	names := make([]name, 0, len(codes)+1)
	for _, c := range codes {
		names = append(names, name(c.code))
	}
	return enumSchema(r, "ConflictCode", "tells conflicts apart", append(names, codeStatusSent))
}

// Schema names the schema.
func (signalEffect) Schema(r huma.Registry) *huma.Schema {
	return enumSchema(r, "SignalEffect", "what a signal did", []engine.SignalEffect{
		engine.SignalWoken, engine.SignalExits, engine.SignalKept, engine.SignalIgnored,
	})
}

// Schema names the schema.
func (waitReason) Schema(r huma.Registry) *huma.Schema {
	return enumSchema(r, "WaitReason", "what a lead waits for", []engine.WaitReason{
		engine.WaitTime, engine.WaitSignal, engine.WaitHours, engine.WaitLimit, engine.WaitDailyCap, engine.WaitCooling, engine.WaitWorker,
		engine.WaitPaused, engine.WaitDraft, engine.WaitHold, engine.WaitCallback, engine.WaitHandler, engine.WaitRetry, engine.WaitHooks,
		engine.WaitFinal,
	})
}

// name is a value that is its own text.
type name string

func (n name) String() string { return string(n) }

// enumSchema registers the values under a name, and returns a reference to it.
// Generators make a constant of each value. They are told its name, with that of the
// schema in front: by themselves some take the value's, and workflow_status is then
// the same as the type WorkflowStatus.
func enumSchema[T fmt.Stringer](r huma.Registry, schema, doc string, values []T) *huma.Schema {
	texts, constants := make([]any, len(values)), make([]string, len(values))
	for i, v := range values {
		texts[i], constants[i] = v.String(), schema
		for word := range strings.SplitSeq(v.String(), "_") {
			constants[i] += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	r.Map()[schema] = &huma.Schema{
		Type: huma.TypeString, Description: doc, Enum: texts, Extensions: map[string]any{"x-enum-varnames": constants},
	}
	return &huma.Schema{Ref: "#/components/schemas/" + schema}
}
