//go:build race

package engine_test

// raceEnabled: the race detector makes everything several times slower, so what
// counts in hundreds of thousands does less.
const raceEnabled = true
