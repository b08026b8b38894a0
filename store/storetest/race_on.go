//go:build race

package storetest

// dose is how much of n a subtest does. The race detector makes stores and comparisons
// many times slower, and size has no races.
func dose(n int) int { return n / 5 }
