package engine

// Stats counts what an engine has done since it was started, and what it holds
// now.
type Stats struct {
	LeadsEnrolled   int64
	LeadsCompleted  int64
	LeadsRemoved    int64
	StepsStarted    int64 // first attempts
	StepsCompleted  int64 // with an outcome of a handler or a callback
	StepsFailed     int64 // after the last attempt, or by timeout
	TimedOut        int64 // of those that failed
	Retries         int64 // attempts after the first
	Redelivered     int64 // attempts made again after a crash
	NotMade         int64 // attempts that were not made after all, see NotMade
	Parked          int64 // leads, after too many redeliveries
	LateResults     int64 // of handlers that returned when the step was over
	TimersCancelled int64
	HookFailures    int64
	Commits         int64

	Running  int // handlers at work
	Ready    int // leads that are due and wait for a worker
	InMemory int // leads that the engine holds; the others are in the store alone
}

// Stats returns the engine's counters as of its last commit. It costs next to
// nothing and may be called from any goroutine.
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
