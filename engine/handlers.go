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

// Handle registers a handler under a name, as [Config].Handlers does, for a handler
// that is made from the engine:
//
//	eng, err := engine.New(st, engine.Config{})
//	err = eng.Handle("voice_call", newDialler(eng))
//	err = eng.Start(ctx)
//
// It may be called at any time, but a workflow needs all of its handlers at Start and
// at ActivateWorkflow. The error matches [lead.ErrInvalid] if h is nil or if a node
// cannot have that name as its handler, and [lead.ErrConflict] if the name has a
// handler already.
func (e *Engine) Handle(name string, h Handler) error {
	if err := checkHandler(name, h); err != nil {
		return &lead.InvalidError{Subject: "handler", Faults: []lead.FieldError{{Location: name, Message: err.Error()}}}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.handlers[name] != nil {
		return &lead.ConflictError{Reason: fmt.Errorf("handler %q is registered already; register it once, by Config.Handlers or by Handle", name)}
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
		return errors.New("is a node type that has no handler; only voice_call, message and application nodes have one")
	}
	return workflow.CheckHandler(name)
}

// NodeChecker is a Handler that can check a node before a lead comes to it.
type NodeChecker interface {
	// CheckNode reports why the handler could not carry out steps at the node.
	// ActivateWorkflow calls it for every node of the handler, on the caller's
	// goroutine, and is refused with all errors that it returns.
	CheckNode(n workflow.Node) error
}

// RateKeyer is a Handler whose nodes depend on different resources, such as the hosts
// of several providers. For a handler without it, all nodes have one rate key.
type RateKeyer interface {
	// RateKey names the resource that attempts at the node depend on. When one attempt
	// is [NotMade], others with the same handler and key wait for its back-off. All nodes
	// with the key "" share one. RateKey is called at Start and at ActivateWorkflow, on
	// the caller's goroutine; that of the handler named "message" also for each node of
	// another handler, which may schedule messages.
	RateKey(n workflow.Node) string
}

// handlersOf returns what is known of the handlers of a workflow's nodes. Rate keys of
// different handlers always differ.
func (e *Engine) handlersOf(f *core.Flow) []core.Handlers {
	known := func(name string, n workflow.Node) core.Handler {
		if name == "" {
			return core.Handler{}
		}
		h, out := e.handler(name), core.Handler{RateKey: name}
		if k, ok := h.(RateKeyer); ok {
			if key := k.RateKey(n); key != "" {
				out.RateKey += " " + key
			}
		}
		_, out.Reconciles = h.(Reconciler)
		return out
	}
	nodes := f.Graph.Definition().Nodes
	out := make([]core.Handlers, len(nodes))
	for i, n := range nodes {
		out[i] = core.Handlers{Visit: known(n.HandlerName(), n), Message: known(string(workflow.Message), n)}
	}
	return out
}

// Typed returns a handler that calls handle with the node's config decoded into a C,
// usually a struct:
//
//	type sms struct {
//		From string `json:"from"`
//		Text string `json:"text"`
//	}
//	"sms": engine.Typed(func(ctx context.Context, a engine.Attempt, c sms) (engine.Result, error) { … }),
//
// The config is decoded strictly: a field that C does not have is an error. If C
// or *C has a method Validate() error, it is called too. The handler is a
// [NodeChecker], so a workflow with a config that cannot be decoded cannot be
// activated; a step at such a node fails without a retry.
//
// The handler is a [RateKeyer] as well. If C or *C has a method RateKey() string, that
// returns the key of the node whose config it is, such as the provider that is named
// there:
//
//	func (c sms) RateKey() string { return c.From }
//
// Without the method, all nodes of the handler have one key. The config of a node that
// cannot be decoded counts as the zero C.
//
// A node without a config is decoded as {}. So is a scheduled message whose node has
// another handler, because that node's config is meant for the other handler: what to
// send is in a.Scheduled.Data.
func Typed[C any](handle func(ctx context.Context, a Attempt, config C) (Result, error)) Handler {
	return typed[C](handle)
}

// TypedReconciler is [Typed] for a handler that is a [Reconciler]: reconcile gets the
// config as handle does. If the config cannot be decoded, it is not called, and what
// became of the attempt is unknown.
//
//	"voice_call": engine.TypedReconciler(client.dial, client.lookUp),
func TypedReconciler[C any](handle func(ctx context.Context, a Attempt, config C) (Result, error),
	reconcile func(ctx context.Context, a Attempt, config C) (Fate, error)) Handler {
	return typedReconciler[C]{handle, reconcile}
}

type typed[C any] func(ctx context.Context, a Attempt, config C) (Result, error)

func (h typed[C]) Handle(ctx context.Context, a Attempt) (Result, error) {
	config, err := configFor[C](&a)
	if err != nil {
		return Result{}, NonRetryable(err)
	}
	return h(ctx, a, config)
}

type typedReconciler[C any] struct {
	typed[C]
	reconcile func(ctx context.Context, a Attempt, config C) (Fate, error)
}

func (h typedReconciler[C]) Reconcile(ctx context.Context, a Attempt) (Fate, error) {
	config, err := configFor[C](&a)
	if err != nil {
		return Fate{}, err
	}
	return h.reconcile(ctx, a, config)
}

// configFor returns the config for an attempt: see Typed.
func configFor[C any](a *Attempt) (config C, err error) {
	if a.Scheduled != nil && a.Node.HandlerName() != string(workflow.Message) {
		return config, nil
	}
	if config, err = decodeConfig[C](a.Node.Config); err != nil {
		err = fmt.Errorf("the config of node %q: %w", a.Node.ID, err)
	}
	return config, err
}

func (typed[C]) CheckNode(n workflow.Node) error {
	_, err := decodeConfig[C](n.Config)
	return err
}

func (typed[C]) RateKey(n workflow.Node) string {
	config, err := decodeConfig[C](n.Config)
	if err != nil { // meant for another handler, whose node may schedule messages
		config = *new(C)
	}
	if k, ok := any(&config).(interface{ RateKey() string }); ok {
		return k.RateKey()
	}
	return ""
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
