package hours

// Share returns the share of a lead, at least 0 and less than 1, by the lead's number.
// It is always the same. The shares of leads with successive numbers are spread evenly:
// of any thousand, each part of the range has its part to within about 1%, which numbers at
// random have not. Different salts give sequences that have nothing to do with each
// other, for different uses.
//
// It is the additive sequence frac(seq*a), which is most even for the golden ratio, the
// number whose continued fraction is 1, 1, 1 and so on. A salt replaces some of the first by
// 2, which is nearly as good, and shifts the sequence.
func Share(seq int64, salt uint64) float64 {
	bits := mix(salt) // 0 for 0
	a := 0.6180339887498949
	for i := range 24 {
		a = 1 / (float64(1+bits>>i&1) + a)
	}
	at := uint64(seq)*uint64(a*(1<<64)) + bits
	return float64(at>>11) / (1 << 53)
}

// mix makes every bit of the result depend on every bit of x (splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
