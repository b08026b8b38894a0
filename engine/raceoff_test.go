//go:build !race

package engine_test

// raceEnabled: see raceon_test.go.
const raceEnabled = false
