package sqlite

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// damageHistory is a file with some hundred leads and their steps: closed, and
// as it is when its process is killed, with its last batches in the log.
func damageHistory(t *testing.T, rng *rand.Rand) (h *history, closed, killed disktest.Files) {
	t.Helper()
	dir := t.TempDir()
	disk := disktest.New(nil)
	stop, err := disktest.Watch(dir, disk)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	s := openTest(t, filepath.Join(dir, powerFile))
	h = &history{Rand: rng, contents: []string{everything(t, s)}}
	w := newScribe(t, rng, s)
	for n := range 40 {
		b := w.batch(t, s)
		if _, err := s.Commit(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if n == 29 {
			onWriter(t, s, `PRAGMA wal_checkpoint(TRUNCATE)`)
		}
		if n >= 29 {
			h.contents = append(h.contents, everything(t, s))
		}
	}
	killed = disk.Cut(nil, disktest.Everything)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return h, disk.Cut(nil, disktest.Everything), killed
}

// A page that somebody has overwritten is found out when it is read: whoever
// asks gets an error that says so, or what was there, but nothing made up.
func TestADamagedPageIsAnErrorAndNotAnAnswer(t *testing.T) {
	oneGoroutine(t)
	rng := rand.New(rand.NewPCG(storetest.Seed(t), 0))
	h, closed, _ := damageHistory(t, rng)
	want := h.contents[len(h.contents)-1]
	dir := imageDir(t)
	path := filepath.Join(dir, powerFile)
	const page = 4096
	pages := len(closed[powerFile]) / page
	refused, failed, whole := 0, 0, 0
	for n := range pages {
		for name, damage := range map[string]func(p []byte){
			"zeros":   func(p []byte) { clear(p) },
			"garbage": func(p []byte) { fill(rng, p) },
			"another": func(p []byte) { copy(p, closed[powerFile][(n+1)%pages*page:][:page]) },
		} {
			text := bytes.Clone(closed[powerFile])
			damage(text[n*page : (n+1)*page])
			if err := (disktest.Files{powerFile: text}).WriteTo(dir, powerFile); err != nil {
				t.Fatal(err)
			}
			clear := func(err error) {
				if !strings.Contains(err.Error(), adviceDamaged) && !strings.Contains(err.Error(), adviceRow) {
					t.Errorf("%s in page %d of %d: an error that does not say what to do: %v", name, n+1, pages, err)
				}
			}
			s, err := Open(t.Context(), path, Options{})
			if err != nil {
				refused++
				clear(err)
				if n == 0 {
					if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, text) {
						t.Errorf("%s in page 1: the file was refused, and changed", name)
					}
				}
				continue
			}
			switch got, err := readAll(t.Context(), s); {
			case err != nil:
				failed++
				clear(err)
			case got == want:
				whole++
			case name == "another":
				// A page of the same kind makes sense where it is not meant to be, and
				// SQLite keeps no checksums that would tell.
			default:
				t.Errorf("%s in page %d of %d gives other answers", name, n+1, pages)
			}
			if _, err := s.Commit(t.Context(), &store.Batch{Ping: true}); err != nil {
				clear(err)
			}
			s.Close() // which may fail, or not
		}
	}
	t.Logf("of %d files %d were refused, %d failed when they were read, and %d were read whole", 3*pages, refused, failed, whole)
	if refused == 0 || failed == 0 {
		t.Error("the test tests less than it says")
	}
}

// SQLite takes a log for what it is up to the first fault in it. So batches are
// lost, which is the disk's doing, but never a part of one.
func TestADamagedLogCountsUpToTheDamage(t *testing.T) {
	oneGoroutine(t)
	rng := rand.New(rand.NewPCG(storetest.Seed(t), 0))
	h, _, killed := damageHistory(t, rng)
	dir := imageDir(t)
	last := len(h.contents) - 1
	lost := map[int]int{}
	for range 40 {
		log := bytes.Clone(killed[powerFile+"-wal"])
		at := rng.IntN(len(log))
		fill(rng, log[at:min(len(log), at+1+rng.IntN(5000))])
		img := &image{disktest.Files{powerFile: killed[powerFile], powerFile + "-wal": log}, 0, last, fmt.Sprint("garbage at ", at)}
		lost[last-img.check(t, dir, h)]++
	}
	t.Logf("how many batches were lost, and how often: %v", lost)
	if len(lost) < 3 {
		t.Error("the test tests less than it says")
	}
}

// The index of the log is of a process, and the next one makes its own.
func TestADamagedIndexOfTheLogDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(storetest.Seed(t), 0))
	h, _, killed := damageHistory(t, rng)
	killed[powerFile+"-shm"] = make([]byte, 32768)
	fill(rng, killed[powerFile+"-shm"])
	last := len(h.contents) - 1
	(&image{killed, last, last, "a damaged index"}).check(t, imageDir(t), h)
}

func fill(rng *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
}
