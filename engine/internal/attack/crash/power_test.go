package crash

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
)

// This file has the power cuts of the crash test: what may be left of the file.

// base is the name of the file, which is alone in its directory.
const base = "leads.db"

// powerDown replays what the dead child did to the disk and, if the power was cut,
// replaces the file by what a power cut may leave.
func (r *run) powerDown() {
	text, err := os.Open(r.log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.Fatal(err)
	}
	if err == nil {
		err = errors.Join(disktest.ReadLog(text, r.disk), text.Close(), os.Remove(r.log))
		if err != nil {
			r.Fatal(err)
		}
	}
	dir := filepath.Dir(r.path)
	if !r.planned.power {
		there := r.compareDisk(dir)
		// The survey is about to look at all of it. An engine would sync it first.
		r.disk = disktest.New(there)
		return
	}
	rng := r.rand("power", r.round)
	fate := disktest.Nothing
	switch rng.IntN(4) {
	case 0:
		fate = disktest.Chance(rng, rng.IntN(101), 0)
	case 1:
		fate = disktest.Chance(rng, rng.IntN(101), rng.IntN(101))
	case 2:
		fate = disktest.TornAt(r.disk.Ops()-rng.IntN(r.disk.Pending()+1), rng.IntN(9))
	}
	r.figures.cuts++
	if r.disk.Pending() > 0 {
		r.figures.losses++
	}
	files := r.disk.Cut(rng, fate)
	if err := files.WriteTo(dir, base); err != nil {
		r.Fatal(err)
	}
	r.disk = disktest.New(files)
}

// compareDisk checks that the disk has seen every operation, because otherwise its power
// cuts prove nothing. It returns the file. The child logs an operation before it does
// it, so it may have died in between, or during a write, which the system may end at any
// page.
func (r *run) compareDisk(dir string) disktest.Files {
	there, err := disktest.Read(dir, base)
	if err != nil {
		r.Fatal(err)
	}
	after := r.disk.Cut(nil, disktest.Everything)
	r.disk.Undo()
	before := r.disk.Cut(nil, disktest.Everything)
	for _, name := range []string{base, base + "-wal", base + "-journal"} {
		if !torn(before[name], there[name], after[name]) {
			r.Fatalf("round %d: SQLite did other things than it said: %s has %d bytes and not %d, or %d before the last of it",
				r.round, name, len(there[name]), len(after[name]), len(before[name]))
		}
	}
	return there
}

// torn reports whether a file is as it was before a write, after it, or partly written.
func torn(before, there, after []byte) bool {
	n := 0
	for n < min(len(there), len(after)) && there[n] == after[n] {
		n++
	}
	return bytes.Equal(there, after) || bytes.Equal(there[n:], before[min(n, len(before)):])
}

func TestTorn(t *testing.T) {
	for _, tt := range []struct {
		before, there, after string
		want                 bool
	}{
		{"", "", "", true}, {"ab", "ab", "abcd", true}, {"ab", "abcd", "abcd", true}, {"ab", "abc", "abcd", true},
		{"abcd", "aXcd", "aXYd", true}, {"abcd", "ab", "ab", true}, {"", "", "ab", true},
		{"ab", "abX", "abcd", false}, {"abcd", "abYd", "aXYd", false}, {"ab", "", "abcd", false}, {"abcd", "abc", "ab", false},
	} {
		if got := torn([]byte(tt.before), []byte(tt.there), []byte(tt.after)); got != tt.want {
			t.Errorf("torn(%q, %q, %q) is %t", tt.before, tt.there, tt.after, got)
		}
	}
}
