package engine_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
)

// This file is the disk of the crash test: what the file may have become when it
// is not a process that is killed, but the machine.

// crashBase is the name of the file, which is alone in its directory.
const crashBase = "leads.db"

// powerDown has the disk know what the child that is dead did to it and, if that
// is how it died, leaves of it what a power cut may leave.
func (r *crashRun) powerDown() {
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
		r.compareDisk(dir)
		// The survey is about to look at all of it. An engine would sync it first.
		r.disk = disktest.New(r.disk.Cut(nil, disktest.Everything))
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
	if err := files.WriteTo(dir, crashBase); err != nil {
		r.Fatal(err)
	}
	r.disk = disktest.New(files)
}

// compareDisk checks that the disk knows everything: else its power cuts prove
// nothing. The child writes an operation down and then does it, so it may have
// died in between.
func (r *crashRun) compareDisk(dir string) {
	there, err := disktest.Read(dir, crashBase)
	if err != nil {
		r.Fatal(err)
	}
	differ := func() string {
		files := r.disk.Cut(nil, disktest.Everything)
		var names []string
		for _, name := range []string{crashBase, crashBase + "-wal", crashBase + "-journal"} {
			if string(there[name]) != string(files[name]) {
				names = append(names, fmt.Sprintf("%s, of %d bytes and not %d", name, len(there[name]), len(files[name])))
			}
		}
		return strings.Join(names, "; ")
	}
	if differ() != "" {
		r.disk.Undo()
	}
	if diff := differ(); diff != "" {
		r.Fatalf("round %d: SQLite did other things than it said: %s", r.round, diff)
	}
}
