//go:build race

package sqlite

// raceEnabled: the race detector makes SQLite many times slower, and tests that
// are one goroutine's work prove no more with it.
const raceEnabled = true
