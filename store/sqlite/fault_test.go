package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// failing is a disk on which some operations fail.
type failing struct {
	*disktest.Disk
	rng  *rand.Rand
	fail func(op disktest.Op) disktest.Code // nil: none
}

func (d *failing) Before(op disktest.Op) disktest.Code {
	code := d.Disk.Before(op)
	if d.fail == nil {
		return code
	}
	if c := d.fail(op); c != disktest.OK {
		code = c
		if op.Kind == disktest.Sync {
			d.SyncFailed(op.File, d.rng, d.luck())
		}
	}
	return code
}

// luck says how much of what was not synced is there.
func (d *failing) luck() disktest.Fate {
	switch d.rng.IntN(4) {
	case 0:
		return disktest.Everything
	case 1:
		return disktest.Nothing
	}
	return disktest.Chance(d.rng, d.rng.IntN(101), d.rng.IntN(60))
}

// syncs fails every sync.
func syncs(op disktest.Op) disktest.Code {
	if op.Kind == disktest.Sync {
		return disktest.IOError
	}
	return disktest.OK
}

// nth fails the n-th operation, and all that come after it if it is to last.
func nth(n int, lasts bool, code disktest.Code) func(disktest.Op) disktest.Code {
	return func(disktest.Op) disktest.Code {
		if n--; n == 0 || n < 0 && lasts {
			return code
		}
		return disktest.OK
	}
}

// Any write, sync or truncation may fail, once or for a while, because the disk
// is full or broken. Every batch that is refused is tried again. Nobody ever
// reads a part of one, and a power cut in the middle of it all leaves what was
// acknowledged; a batch that was refused may be there after it, whole, as one
// that was never answered.
func TestAFailingDiskRefusesTheBatchAndNoMore(t *testing.T) {
	oneGoroutine(t)
	rng := rand.New(rand.NewPCG(storetest.Seed(t), 0))
	dir, other := t.TempDir(), imageDir(t)
	disk := &failing{Disk: disktest.New(nil), rng: rng}
	stop, err := disktest.Watch(dir, disk)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	s := openTest(t, filepath.Join(dir, powerFile))
	h := &history{Rand: rng, contents: []string{everything(t, s)}}
	w := newScribe(t, rng, s)
	refused, resurrected := map[string]int{}, 0
	cut := func(n, most int) *image {
		return &image{disk.Cut(rng, disk.luck()), n, most, fmt.Sprintf("a power cut about batch %d", n)}
	}
	for n := range 40 {
		b := w.batch(t, s)
		var images []*image
		for {
			if s.writer != nil { // a connection that failed was closed, and with it this
				onWriter(t, s, `PRAGMA wal_autocheckpoint = 20`)
			}
			disk.fail = nil
			if len(images) < 4 && rng.IntN(2) == 0 {
				code := []disktest.Code{disktest.Full, disktest.IOError}[rng.IntN(2)]
				disk.fail = nth(1+rng.IntN(30), rng.IntN(2) == 0, code)
				if rng.IntN(3) == 0 {
					disk.fail = syncs
				}
			}
			_, err := s.Commit(t.Context(), &b)
			disk.fail = nil
			if err == nil {
				break
			}
			if len(images) == 20 {
				t.Fatalf("the disk is well again, and batch %d is still refused: %v", n, err)
			}
			text := err.Error()
			if !strings.Contains(text, adviceFull) && !strings.Contains(text, adviceDisk) && !strings.Contains(text, adviceWritable) {
				t.Fatalf("the error does not say what to do: %v", err)
			}
			refused[text[strings.LastIndex(text, ":"):]]++
			if everything(t, s) != h.contents[n] {
				t.Fatalf("batch %d was refused, and changed something", n)
			}
			images = append(images, cut(n, n+1))
		}
		h.contents = append(h.contents, everything(t, s))
		for _, img := range append(images, cut(n+1, n+1)) {
			if got := img.check(t, other, h); got > img.must {
				resurrected++
			}
		}
	}
	t.Logf("refused %v; %d that were refused were there after a power cut", refused, resurrected)
	if len(refused) < 2 {
		t.Error("the disk was not full as well as broken: the test tests less than it says")
	}
}

// Whatever fails while the file is opened, or closed, the error says so, and
// everything is there when the disk is well again.
func TestAFailingDiskWhileOpeningOrClosingLosesNothing(t *testing.T) {
	oneGoroutine(t)
	dir := t.TempDir()
	path := filepath.Join(dir, powerFile)
	rng := rand.New(rand.NewPCG(1, 1))
	disk := &failing{Disk: disktest.New(nil), rng: rng}
	stop, err := disktest.Watch(dir, disk)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	s := openTest(t, path)
	b := newScribe(t, rng, s).batch(t, s)
	if _, err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	want, killed := everything(t, s), disk.Cut(nil, disktest.Everything)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closed := disk.Cut(nil, disktest.Everything)
	for name, start := range map[string]struct {
		files disktest.Files
		want  string
	}{"a new file": {nil, ""}, "a file that was closed": {closed, want}, "one whose process was killed": {killed, want}} {
		t.Run(name, func(t *testing.T) {
			failed := 0
			for n, over := 1, false; !over; n++ {
				for _, code := range []disktest.Code{disktest.Full, disktest.IOError} {
					if err := start.files.WriteTo(dir, powerFile); err != nil {
						t.Fatal(err)
					}
					disk.Disk = disktest.New(start.files)
					met := 0
					fail := nth(n, n%2 == 0, code)
					disk.fail = func(op disktest.Op) disktest.Code { met++; return fail(op) }
					s, err := Open(t.Context(), path, Options{})
					if err == nil {
						err = s.Close()
					}
					disk.fail = nil
					over = met < n
					if err != nil {
						failed++
						if !strings.Contains(err.Error(), path) || adviceOn(err) == "" || !strings.Contains(err.Error(), adviceOn(err)) {
							t.Errorf("operation %d: %v", n, err)
						}
					}
					s = openTest(t, path)
					if got := everything(t, s); strings.TrimSpace(got) != strings.TrimSpace(start.want) && start.want != "" {
						t.Errorf("operation %d: something was lost", n)
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				}
			}
			if failed == 0 {
				t.Error("nothing failed")
			}
			t.Logf("%d openings and closings failed", failed)
		})
	}
}

func TestAFileThatIsLockedForTooLongSaysSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), powerFile)
	s := openTest(t, path)
	other, err := plain(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	s.writer.conn.SetBusyTimeout(10 * time.Millisecond) // else ten seconds
	b := store.Batch{Enroll: storetest.Enrollments(t, s, 1, 10)}
	if _, err := s.Commit(context.Background(), &b); !errors.Is(err, store.ErrBusy) || !strings.Contains(err.Error(), adviceLocked) {
		t.Errorf("a commit to a locked file: %v", err)
	}
	if _, err := other.ExecContext(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(context.Background(), &b); err != nil {
		t.Errorf("a commit after it: %v", err)
	}
	if got := count(t, s, 1); got != 10 {
		t.Errorf("%d leads, want 10", got)
	}
}
