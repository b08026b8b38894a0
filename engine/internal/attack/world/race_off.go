//go:build !race

package world

// RaceEnabled: see race_on.go.
const RaceEnabled = false
