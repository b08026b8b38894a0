package hours

import (
	"math"
	"testing"
)

// Any thousand leads in a row fall evenly: each tenth of the range has a tenth of them to
// within 1.5 %, and each half a half to within 2 %.
func TestSharesOfAThousandLeadsAreEven(t *testing.T) {
	for salt := range uint64(300) {
		for _, first := range []int64{0, 1, 12345, 1 << 40, math.MaxInt64 - 999, -500} {
			var tenths [10]int
			for i := range int64(1000) {
				share := Share(first+i, salt)
				if share < 0 || share >= 1 {
					t.Fatalf("Share(%d, %d) = %v", first+i, salt, share)
				}
				tenths[int(share*10)]++
			}
			half := 0
			for i, n := range tenths {
				if n < 85 || n > 115 {
					t.Errorf("salt %d from %d: tenth %d has %d of 1000", salt, first, i, n)
				}
				if i < 5 {
					half += n
				}
			}
			if half < 480 || half > 520 {
				t.Errorf("salt %d from %d: %d of 1000 are below one half", salt, first, half)
			}
		}
	}
}

// What a lead's share is with one salt says nothing of its share with another: of the
// leads of one half, both halves of the other have about as many.
func TestSharesOfDifferentSaltsAreIndependent(t *testing.T) {
	const leads = 10_000
	for a := range uint64(12) {
		for b := range a {
			var quarters [2][2]int
			for i := range int64(leads) {
				quarters[int(2*Share(i, a))][int(2*Share(i, b))]++
			}
			for _, half := range quarters {
				for _, n := range half {
					if n < leads/4-leads/20 || n > leads/4+leads/20 {
						t.Errorf("salts %d and %d: %v", a, b, quarters)
					}
				}
			}
		}
	}
}

// A lead keeps its share when the engine is restarted with a newer version.
func TestShareIsForever(t *testing.T) {
	for _, c := range []struct {
		seq  int64
		salt uint64
		want float64
	}{
		{0, 0, 0},
		{1, 0, 0.6180339887498949},
		{2, 0, 0.2360679774997898},
		{1, 7, 0.7067034782695375},
		{50_000, 7, 0.7269548329905747},
		{-3, 1 << 63, 0.8905674246960641},
	} {
		if got := Share(c.seq, c.salt); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("Share(%d, %d) = %v, want %v", c.seq, c.salt, got, c.want)
		}
	}
}

func BenchmarkShare(b *testing.B) {
	for i := range b.N {
		Share(int64(i), 77)
	}
}
