package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestTheBarIsDrawnOnATerminalOnly(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	bar := newProgress(&out, "le\x1bads.csv", 4_000_000)
	bar.now, bar.begun, bar.live = func() time.Time { return now }, now, true
	for range 4 {
		now = now.Add(400 * time.Millisecond)
		bar.Write(make([]byte, 500_000))
		now = now.Add(10 * time.Millisecond) // too soon to draw again
		bar.Write(make([]byte, 500_000))
	}
	bar.end()
	want := "\r\x1b[Kle ads.csv [###...........................]  12%  500 kB of 4.0 MB" +
		"\r\x1b[Kle ads.csv [###########...................]  37%  1.5 MB of 4.0 MB" +
		"\r\x1b[Kle ads.csv [##################............]  62%  2.5 MB of 4.0 MB  2.0 MB/s" +
		"\r\x1b[Kle ads.csv [##########################....]  87%  3.5 MB of 4.0 MB  2.1 MB/s" +
		"\r\x1b[Kle ads.csv [##############################] 100%  4.0 MB of 4.0 MB  2.4 MB/s\n"
	if got := out.String(); got != want {
		t.Errorf("%s, want %s", strings.ReplaceAll(got, "\r", "\n"), strings.ReplaceAll(want, "\r", "\n"))
	}

	out.Reset()
	bar = newProgress(&out, "leads.csv", 10)
	bar.Write(make([]byte, 10))
	bar.end()
	if out.Len() > 0 {
		t.Errorf("wrote %q where no terminal is", &out)
	}
}

func TestBytesAreWrittenForPeople(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 9_940: "9.9 kB", 12_345: "12 kB", 999_499: "999 kB", 999_500: "1.0 MB", 5_000_000_000: "5.0 GB",
	} {
		if got := byteText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestSizesAreRead(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "1000": 1000, "1k": 1 << 10, "64MiB": 64 << 20, "64mb": 64 << 20, " 2 G ": 2 << 30, "8GB": 8 << 30,
	} {
		var s size
		if err := s.Set(text); err != nil || int64(s) != want {
			t.Errorf("%q: %d, %v, want %d", text, s, err, want)
		}
		var again size
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%q is printed as %s, which is read as %d, %v", text, s.String(), again, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1.5M", "M", "1T", "1KK", "9999999999G"} {
		var s size
		if err := s.Set(text); err == nil {
			t.Errorf("%q is read as %d", text, s)
		}
	}
}
