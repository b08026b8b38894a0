//go:build race

package world

// RaceEnabled: the race detector makes everything several times slower, so the longest
// tests do less.
const RaceEnabled = true
