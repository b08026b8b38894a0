//go:build !race

package storetest

// dose: see race_on.go.
func dose(n int) int { return n }
