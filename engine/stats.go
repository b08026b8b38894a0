package engine

import (
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/run"
)

// Stats has the counters of an engine since it was started, and its present size.
type Stats struct {
	LeadsEnrolled   int64
	LeadsCompleted  int64
	LeadsRemoved    int64
	StepsStarted    int64 // first attempts
	StepsCompleted  int64 // with an outcome of a handler or a callback
	StepsFailed     int64 // after the last attempt, or by timeout
	TimedOut        int64 // of the failed steps, those by timeout
	Retries         int64 // attempts after the first
	Redelivered     int64 // attempts made again after a crash
	NotMade         int64 // attempts whose handler returned NotMade
	Parked          int64 // leads, after too many redeliveries
	LateResults     int64 // results of handlers that returned after the step had ended
	TimersCancelled int64 // waits and scheduled messages that will not take place
	HookFailures    int64 // errors, panics and timeouts of hooks
	Commits         int64

	Running  int // handlers that run now
	Ready    int // leads that are due and wait for a worker
	InMemory int // leads in the engine's memory; the others are only in the store
	// Late is how long the lead that gets a worker next has been due.
	Late time.Duration

	Silence Silence
}

// SilenceBounds returns the bounds of the classes of Silence.Within, the smallest first.
func SilenceBounds() []time.Duration { return slices.Clone(run.SilenceBounds[:]) }

// Silence measures opt-outs, of which each is a call of Suppress, RemoveContact or Remove
// that removes somebody: how long it takes from the request until the last step of the
// person's leads that was in flight has ended. For most it is no time.
//
// An opt-out is counted by the engine that was asked. One that was pending when that
// engine's process ended is counted by the engine that goes on, and then for each lead by
// itself.
type Silence struct {
	Count   int64 // opt-outs that came to silence
	Pending int   // opt-outs that this engine was asked for and of which a step is still in flight
	Sum     time.Duration
	Longest time.Duration
	// Within[i] is how many of them took SilenceBounds()[i] or less.
	Within [11]int64
}

// Stats returns the engine's counters as of its last commit. It takes no time worth
// measuring, and does not read the store.
func (e *Engine) Stats() Stats {
	s := e.run.Stats()
	return Stats{
		LeadsEnrolled: s.Enrolled, LeadsCompleted: s.Completed, LeadsRemoved: s.Removed,
		StepsStarted: s.StepsStarted, StepsCompleted: s.StepsCompleted, StepsFailed: s.StepsFailed, TimedOut: s.TimedOut,
		Retries: s.Retries, Redelivered: s.Redelivered, NotMade: s.NotMade, Parked: s.Parked,
		LateResults: s.LateResults, TimersCancelled: s.TimersCancelled,
		HookFailures: s.HookFailures, Commits: s.Commits,
		Running: s.Running, Ready: s.Ready, InMemory: s.InMemory, Late: s.Late,
		Silence: Silence(s.Silence),
	}
}
