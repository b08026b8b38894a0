//go:build race

package world

// RaceEnabled: the race detector makes everything several times slower, so what
// counts in hundreds of thousands does less.
const RaceEnabled = true
