//go:build race

package workflow

// raceEnabled: the race detector makes everything several times slower.
const raceEnabled = true
