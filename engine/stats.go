package engine

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
		Running: s.Running, Ready: s.Ready, InMemory: s.InMemory,
	}
}
