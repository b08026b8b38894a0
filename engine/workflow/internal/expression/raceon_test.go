//go:build race

package expression

// raceEnabled: the race detector makes everything several times slower.
const raceEnabled = true
