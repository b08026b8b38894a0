package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// Config configures an engine. The zero value works: an engine without handlers
// runs workflows that only wait and branch. New copies it; changing it later has no
// effect.
type Config struct {
	// Handlers carry out the steps at action nodes, by name. A node names its
	// handler; if it does not, the name is the node's type: "voice_call", "message"
	// or "application". Start is refused while an active or paused workflow has an
	// action node without a handler. A handler that is made from the engine is
	// registered with [Engine.Handle] instead.
	Handlers map[string]Handler
	// Hooks run, in this order, whenever a step that was in flight has its
	// outcome: before the lead enters its next node, and before a lead whose
	// removal is pending is detached.
	Hooks []Hook
	// HookTimeout bounds each hook. A hook that takes longer is recorded as
	// failed, and the lead goes on without it. Default 10 s.
	HookTimeout time.Duration
	// Workers is the greatest number of handlers that run at the same time; a lead
	// whose step is due waits for a free worker. A step that waits for its callback
	// or its retry uses none. Default 1000.
	Workers int
	// MaxRedeliveries is how often an attempt is made again because the process ended
	// during it. If the process ends during it once more, the attempt may be the cause,
	// and the lead is parked: its handler is not called again, and the step ends when it
	// times out, by CompleteStep, or immediately when the lead is removed. Default 3.
	MaxRedeliveries int
	// Region is the two-letter ISO 3166 code, in upper case, of the country whose
	// national phone numbers are accepted without a leading +, such as "US". Default:
	// such numbers are refused. See [lead.CheckRegion].
	Region string
	// Clock tells the time. Default: the real clock. A [Stepped] engine must be given
	// one.
	Clock Clock
	// Logger gets what an operator must know. Default: slog.Default().
	Logger *slog.Logger
}

const (
	defaultHookTimeout = 10 * time.Second
	defaultWorkers     = 1000

	defaultMaxRedeliveries = 3
)

func (c Config) withDefaults() Config {
	if c.HookTimeout == 0 {
		c.HookTimeout = defaultHookTimeout
	}
	if c.Workers == 0 {
		c.Workers = defaultWorkers
	}
	if c.MaxRedeliveries == 0 {
		c.MaxRedeliveries = defaultMaxRedeliveries
	}
	if c.Clock == nil {
		c.Clock = realClock{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Handlers = maps.Clone(c.Handlers); c.Handlers == nil {
		c.Handlers = map[string]Handler{}
	}
	c.Hooks = slices.Clone(c.Hooks)
	return c
}

// faults names every fault at once.
func (c Config) faults() []lead.FieldError {
	var faults []lead.FieldError
	fault := func(message, location string, args ...any) {
		faults = append(faults, lead.FieldError{Location: fmt.Sprintf(location, args...), Message: message})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Handlers)) {
		if err := checkHandler(name, c.Handlers[name]); err != nil {
			fault(err.Error(), "Handlers[%q]", name)
		}
	}
	for i, h := range c.Hooks {
		if h.Name == "" {
			fault("is empty; the failures of a hook are recorded by its name", "Hooks[%d].Name", i)
		}
		if h.Run == nil {
			fault("is nil", "Hooks[%d].Run", i)
		}
	}
	var invalid *lead.InvalidError
	if c.Region != "" && errors.As(lead.CheckRegion(c.Region), &invalid) {
		fault(invalid.Faults[0].Message, "Region")
	}
	if c.HookTimeout < 0 {
		fault(fmt.Sprintf("must not be negative; 0 means %s", defaultHookTimeout), "HookTimeout")
	}
	if c.MaxRedeliveries < 0 {
		fault(fmt.Sprintf("must not be negative; 0 means %d", defaultMaxRedeliveries), "MaxRedeliveries")
	}
	if c.Workers < 0 {
		fault(fmt.Sprintf("must not be negative; 0 means %d", defaultWorkers), "Workers")
	}
	return faults
}
