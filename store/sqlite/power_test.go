package sqlite

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
	"github.com/leadflow-go/leadflow/store/storetest"
)

var (
	powerRuns = flag.Int("power.runs", 1, "how many histories TestAPowerCutKeepsWhatWasAcknowledged makes")
	powerCuts = flag.Int("power.cuts", powerDose(), "how many power cuts it tries of each, at least about: 0 for all there are")
)

func powerDose() int {
	if raceEnabled {
		return 4
	}
	return 150
}

// A writer commits batches, in a file that did not exist before it; its
// checkpoints are frequent, and it closes and opens the file now and then. Then
// the power is cut, after every write, sync, truncation, and deletion that SQLite
// made, in several ways each: with all that was written on disk, as after kill
// -9; with what was synced and no more; with the last write torn; with any
// sectors of what was not synced there, missing, torn, or garbage. So the log is
// cut at every frame and every page, and within them, and a checkpoint leaves any
// mixture of old and new pages.
//
// What is opened after that must pass integrity_check and be what the writer had
// after some batch, whole: not before the last one that was acknowledged, nor
// after one that was not begun (promise 1).
//
// Which syncs there are is not assumed, but seen: package disktest stands between
// SQLite and the system. A trace of the system calls of a run (strace -f -y) has
// the same order: the log is synced before Commit returns, and its directory
// right after its first sync; the log before any of its pages goes to the file,
// and the file before the log is begun anew or deleted.
//
// The seed is logged; LEADFLOW_SEED and the same flags play the same again.
func TestAPowerCutKeepsWhatWasAcknowledged(t *testing.T) {
	first := storetest.Seed(t)
	for i := range uint64(*powerRuns) {
		t.Run(fmt.Sprint("LEADFLOW_SEED=", first+i), func(t *testing.T) {
			h := newHistory(t, rand.New(rand.NewPCG(first+i, 0)))
			cuts, again := h.cutEverywhere(t)
			t.Logf("%d batches, %d operations of SQLite; %d power cuts, and %d while what they left was opened",
				len(h.acked)-1, len(h.ops), cuts, again)
		})
	}
}

// image is what a power cut left, and which batches it must and may have.
type image struct {
	files      disktest.Files
	must, most int
	cut        string
}

// cutEverywhere cuts the power after each operation, or some of them, and
// returns how often it did, and how often again.
func (h *history) cutEverywhere(t *testing.T) (cuts, again int) {
	dir := imageDir(t)
	disk := disktest.New(nil)
	seen := map[string]bool{}
	seldom := 20
	if raceEnabled {
		seldom = 200
	}
	for n := 0; ; n++ {
		for name, fate := range h.fates(disk) {
			rare := name == killed && h.aboutToSync(n) && h.IntN(seldom) == 0
			if *powerCuts > 0 && h.IntN(fates*(len(h.ops)+1)) >= *powerCuts && !rare {
				continue
			}
			img := &image{files: disk.Cut(h.Rand, fate), cut: fmt.Sprintf("%s, after operation %d", name, n)}
			img.must, img.most = h.batches(n)
			if key := img.key(); !seen[key] {
				seen[key] = true
				cuts++
				img.check(t, dir, h)
				switch {
				case cuts%15 == 0:
					again += img.cutAgain(t, dir, h, disktest.New(img.files))
				case name == killed && h.aboutToSync(n):
					again += img.cutAgain(t, dir, h, disk.Clone())
				}
			}
		}
		if n == len(h.ops) {
			return cuts, again
		}
		disk.After(h.ops[n])
	}
}

// aboutToSync reports whether the n-th operation is followed by a sync of the
// log.
func (h *history) aboutToSync(n int) bool {
	return n < len(h.ops) && h.ops[n].Kind == disktest.Sync && h.ops[n].File == powerFile+"-wal"
}

// imageDir is a directory in which images are opened, quickly.
func imageDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	stop, err := disktest.Watch(dir, pretending{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return dir
}

// fates is how many ways there are to lose what was not synced; killed is that
// of a process alone.
const (
	fates  = 7
	killed = "all written is there"
)

// fates are how the power is cut at one moment.
func (h *history) fates(disk *disktest.Disk) func(yield func(string, disktest.Fate) bool) {
	n := disk.Ops()
	return func(yield func(string, disktest.Fate) bool) {
		_ = yield(killed, disktest.Everything) &&
			yield("what was not synced is gone", disktest.Nothing) &&
			(disk.Pending() == 0 ||
				yield("the last write is torn", disktest.TornAt(n, h.IntN(9))) &&
					yield("a write before it is torn", disktest.TornAt(n-h.IntN(disk.Pending()), h.IntN(9))) &&
					yield("sectors are missing", disktest.Chance(h.Rand, h.IntN(101), 0)) &&
					yield("sectors are missing or damaged", disktest.Chance(h.Rand, h.IntN(101), 50)) &&
					yield("sectors are garbage", disktest.Chance(h.Rand, 50, 100)))
	}
}

// batches returns the last batch that was acknowledged, and the last one that
// was begun, before the n-th operation was over.
func (h *history) batches(n int) (must, most int) {
	for k := range h.acked {
		if h.acked[k] <= n {
			must = k
		}
		if h.begun[k] < n {
			most = k
		}
	}
	return must, max(must, most)
}

// key is the same for images that are the same.
func (img *image) key() string {
	sum := sha256.New()
	fmt.Fprintln(sum, img.must, img.most)
	for _, suffix := range []string{"", "-wal", "-journal"} {
		text, ok := img.files[powerFile+suffix]
		fmt.Fprint(sum, ok, len(text), ";")
		sum.Write(text)
	}
	return string(sum.Sum(nil))
}

// check opens the image, in a directory of no matter what, and returns after
// which batch it is.
func (img *image) check(t *testing.T, dir string, h *history) (batch int) {
	t.Helper()
	if err := img.files.WriteTo(dir, powerFile); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, powerFile)
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatalf("%s: %v", img.cut, err)
	}
	batch = img.batch(t, h, s)
	// It goes on from there, and hands out no number twice.
	b := newScribe(t, h.Rand, s).batch(t, s)
	if _, err := s.Commit(t.Context(), &b); err != nil {
		t.Fatalf("%s: the next commit: %v", img.cut, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("%s: %v", img.cut, err)
	}
	checkIntegrity(t, path)
	return batch
}

// batch returns after which batch the store is, as it opened from the image.
func (img *image) batch(t *testing.T, h *history, s *Store) int {
	t.Helper()
	got := everything(t, s)
	for k := img.most; k >= img.must; k-- { // one may have changed nothing
		if h.contents[k] == got {
			return k
		}
	}
	t.Fatalf("%s: batch %d was acknowledged and %d begun, and there is what was after %d of them, or something else",
		img.cut, img.must, img.most, slices.Index(h.contents, got))
	return 0
}

// cutAgain cuts the power while the image is opened, or after that, and returns
// how often it did. The disk may be that of a process that was killed: then what
// it had written is not synced yet, but whoever opens the file sees it, and may
// tell others.
func (img *image) cutAgain(t *testing.T, images string, h *history, disk *disktest.Disk) (cuts int) {
	t.Helper()
	dir := t.TempDir()
	if err := img.files.WriteTo(dir, powerFile); err != nil {
		t.Fatal(err)
	}
	var opening tape
	stop, err := disktest.Watch(dir, &opening)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, powerFile)
	release := func() {}
	if img.logged() && h.IntN(2) == 0 { // because of whom to close the file does not sync it
		release = reader(t, path)
	}
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatalf("%s: %v", img.cut, err)
	}
	opened := len(opening.ops)
	batch := img.batch(t, h, s)
	release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stop()
	for n := 0; n <= len(opening.ops); n++ {
		if n > 0 {
			disk.After(opening.ops[n-1])
		}
		must := img.must
		if n >= opened {
			must = batch
		}
		for name, fate := range h.fates(disk) {
			if n != opened && h.IntN(fates*(len(opening.ops)+1)) >= 4 {
				continue
			}
			cuts++
			(&image{
				files: disk.Cut(h.Rand, fate), must: must, most: batch,
				cut: fmt.Sprintf("%s; and then, opened anew, %s, after operation %d of %d", img.cut, name, n, opened),
			}).check(t, images, h)
		}
	}
	return cuts
}

// logged reports whether the file has a write-ahead log by now. It is given one
// when it is opened for the first time, and nobody may read it meanwhile.
func (img *image) logged() bool {
	_, undo := img.files[powerFile+"-journal"]
	text := img.files[powerFile]
	const readVersion = 19 // where the header says so
	return !undo && len(text) > readVersion && text[readVersion] == 2
}

// reader is another program that reads the file until it is told to end.
func reader(t *testing.T, path string) (end func()) {
	t.Helper()
	db := plain(t, path)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow(`SELECT count(*) FROM sqlite_schema`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return func() {
		tx.Rollback()
		db.Close()
	}
}
