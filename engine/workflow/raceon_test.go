//go:build race

package workflow

// raceEnabled: the race detector makes everything several times slower, and has a sync.Pool
// drop some of what it is given, so more is allocated.
const raceEnabled = true
