package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Handle registers a handler under a name, as [Config].Handlers does, for handlers
// that need the engine to be made:
//
//	eng, err := engine.New(st, engine.Config{})
//	err = eng.Handle("voice_call", newDialler(eng))
//	err = eng.Start(ctx)
//
// It may be called at any time; Start and ActivateWorkflow ask for the handlers
// of the workflows that they set going. A name that no node may have and a nil
// handler are refused as [lead.ErrInvalid], a name that has a handler already as
// [lead.ErrConflict].
func (e *Engine) Handle(name string, h Handler) error {
	if err := checkHandler(name, h); err != nil {
		return &lead.InvalidError{Subject: "handler", Faults: []lead.FieldError{{Location: name, Message: err.Error()}}}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.handlers[name] != nil {
		return &lead.ConflictError{Reason: fmt.Errorf("handler %q is registered already", name)}
	}
	e.handlers[name] = h
	return nil
}

// handler returns the handler of that name, nil when there is none.
func (e *Engine) handler(name string) Handler {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.handlers[name]
}

// checkHandler reports why a handler cannot be registered.
func checkHandler(name string, h Handler) error {
	switch t := workflow.NodeType(name); {
	case h == nil:
		return errors.New("is nil")
	case t.Terminal() || t == workflow.Time || t == workflow.Conditional:
		return errors.New("is a type of node without a handler; only voice_call, message and application nodes have one")
	}
	return workflow.CheckHandler(name)
}

// NodeChecker is a Handler that can tell beforehand which nodes it could not
// do. ActivateWorkflow asks it about every node that names it, on the caller's
// goroutine, and refuses the workflow with what it says.
type NodeChecker interface {
	CheckNode(n workflow.Node) error
}

// RateKeyer is a Handler that says what the attempts at a node share with others,
// such as a provider's host, for [NotMade]: when it cannot be done for one, it is not
// tried for the others for a while. It is called when a workflow is set going, on
// the caller's goroutine. For a handler that is none, all of its nodes share one key.
type RateKeyer interface {
	RateKey(n workflow.Node) string
}

// rateKeys returns the rate keys of a workflow's nodes. Those of different handlers
// differ.
func (e *Engine) rateKeys(f *core.Flow) []core.RateKey {
	key := func(name string, n workflow.Node) string {
		if h, ok := e.handler(name).(RateKeyer); ok && name != "" {
			return name + " " + h.RateKey(n)
		}
		return name
	}
	nodes := f.Graph.Definition().Nodes
	keys := make([]core.RateKey, len(nodes))
	for i, n := range nodes {
		keys[i] = core.RateKey{Visit: key(n.HandlerName(), n), Message: key(string(workflow.Message), n)}
	}
	return keys
}

// Typed returns a handler that calls handle with the node's config decoded into
// a C, a struct as a rule:
//
//	type sms struct {
//		From string `json:"from"`
//		Text string `json:"text"`
//	}
//	"sms": engine.Typed(func(ctx context.Context, a engine.Attempt, c sms) (engine.Result, error) { … }),
//
// The config is decoded strictly: a field that C does not have is an error. If C
// or *C has a method Validate() error, that is asked too. The handler is a
// [NodeChecker], so a workflow with a config that cannot be decoded is not
// activated; a step that comes to such a node all the same fails without a retry.
//
// A node without a config is decoded as an empty one. So is a scheduled message
// of a node that has another handler, whose config is not for this one: what to
// send is in a.Scheduled.Data.
func Typed[C any](handle func(ctx context.Context, a Attempt, config C) (Result, error)) Handler {
	return typed[C](handle)
}

type typed[C any] func(ctx context.Context, a Attempt, config C) (Result, error)

func (h typed[C]) Handle(ctx context.Context, a Attempt) (Result, error) {
	var config C
	if a.Scheduled == nil || a.Node.HandlerName() == string(workflow.Message) {
		var err error
		if config, err = decodeConfig[C](a.Node.Config); err != nil {
			return Result{}, NonRetryable(fmt.Errorf("the config of node %q: %w", a.Node.ID, err))
		}
	}
	return h(ctx, a, config)
}

func (typed[C]) CheckNode(n workflow.Node) error {
	_, err := decodeConfig[C](n.Config)
	return err
}

// decodeConfig decodes a node's config strictly.
func decodeConfig[C any](text json.RawMessage) (C, error) {
	var config C
	if len(text) == 0 {
		text = json.RawMessage("{}")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&config); err != nil {
		return config, err
	}
	if _, err := d.Token(); err != io.EOF {
		return config, errors.New("must be a single JSON object")
	}
	if v, ok := any(&config).(interface{ Validate() error }); ok {
		return config, v.Validate()
	}
	return config, nil
}
