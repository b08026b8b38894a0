//go:build race

package hours

// raceEnabled: the race detector makes everything several times slower, and finds
// nothing in what one goroutine computes, so that does less.
const raceEnabled = true
